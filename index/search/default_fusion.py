"""The fusion of a search that names none."""

from __future__ import annotations

from collections.abc import Sequence

from index.collection.field import Field
from index.search.fusion import Fusion, LinearFusion

# Chosen by measurement (benches/hybrid.py): a dense ranking counts twice what sparse ones count
# together, and a second sparse ranking beside a learned one less than the first.
DENSE_WEIGHT = 2.0
SECOND_WEIGHT = 0.2


def default_fusion(fields: Sequence[Field]) -> Fusion:
    """Scores over the highest of their ranking, added with weights by the kinds of the fields.

    The norm of a dense field whose vectors are of any length must not depend on their scale, nor
    that of a sparse one on the length of the query: the highest score takes both out, and leaves
    how far the first results stand out, which ranks lose.
    """
    weights: dict[str, float] = {}
    sparse = [field.name for field in fields if field.kind == "sparse"]
    for place, name in enumerate(sparse):
        weights[name] = (1.0 if place == 0 else SECOND_WEIGHT) / _total(len(sparse))
    dense = [field.name for field in fields if field.kind == "dense"]
    weights |= dict.fromkeys(dense, DENSE_WEIGHT)
    return LinearFusion(weights, "max")


def _total(sparse: int) -> float:
    return 1.0 + SECOND_WEIGHT * (sparse - 1) if sparse else 1.0
