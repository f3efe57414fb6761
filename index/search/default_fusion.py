"""The fusion of a search that names none."""

from __future__ import annotations

from collections.abc import Sequence

from index.collection.field import Field
from index.search.fusion import Fusion, LinearFusion

# Chosen by measurement (benches/hybrid.py): what a dense ranking counts where sparse ones count 1
# together, of seven weights from 1 to 3 the best for each of five collections by the other four;
# and a second sparse ranking beside a learned one counts less than the first, least where that has
# words of its own.
DENSE_WEIGHT = 1.75
SECOND_WEIGHT = 0.2
BESIDE_WORDS = 0.1


def default_fusion(fields: Sequence[Field]) -> Fusion:
    """Scores over the highest of their ranking, added with weights by the kinds of the fields.

    The norm of a dense field whose vectors are of any length must not depend on their scale, nor
    that of a sparse one on the length of the query: the highest score takes both out, and leaves
    how far the first results stand out, which ranks lose.
    """
    sparse = [field for field in fields if field.kind == "sparse"]
    second = BESIDE_WORDS if sparse and sparse[0].open else SECOND_WEIGHT
    total = 1.0 + second * (len(sparse) - 1)
    weights = {
        field.name: (1.0 if place == 0 else second) / total for place, field in enumerate(sparse)
    }
    weights |= {field.name: DENSE_WEIGHT for field in fields if field.kind == "dense"}
    return LinearFusion(weights, "max")
