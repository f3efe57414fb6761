"""Re-ranked searches: late scoring by a second encoder, and by a cross-encoder."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_bench.systems import System
from index.search.config import SearchConfig
from index.search.reranking import Reranking

WEIGHTS = (1.0, 0.5)


def reranked_systems(
    sparse: Mapping[str, str], dense: bool, cross_encoder: str | None = None
) -> list[System]:
    """The first sparse encoder's best 100, scored anew by each other way to score them.

    Args:
        sparse: names of sparse encoders by label; the second and later score the texts.
        dense: whether there is a dense field, which scores by its stored vectors.
        cross_encoder: a folder or hub id; None: no cross-encoder is measured.
    """
    (label, name), *others = sparse.items()
    models = {other: f"sparse:{encoder}" for other, encoder in others}
    if dense:
        models["dense"] = "field:dense"
    if cross_encoder is not None:
        models["cross-encoder"] = cross_encoder
    return [
        System(
            f"{label}>{other}",
            f"weight {weight:g}",
            name,
            SearchConfig(using="sparse", rerank=Reranking(model, 100, weight=weight)),
        )
        for other, model in models.items()
        for weight in WEIGHTS
    ]
