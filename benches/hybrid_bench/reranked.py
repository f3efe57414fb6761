"""Re-ranked searches: late scoring by other fields, and by a cross-encoder."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_bench.systems import System
from index.collection.field import DENSE
from index.search.config import SearchConfig
from index.search.reranking import FIELD, Reranking

WEIGHTS = (1.0, 0.5)
DEPTH = 100
# A cross-encoder reads every one of them with each query.
CROSS_ENCODER_DEPTH = 50


def reranked_systems(fields: Mapping[str, str], cross_encoder: str | None = None) -> list[System]:
    """The first field's best, scored anew by each other one, and by a cross-encoder.

    Another field scores by its stored vectors, as its encoder would by the texts. The
    cross-encoder scores what the first field and the dense one find together, too.

    Args:
        fields: by label.
        cross_encoder: a folder or hub id; None: no cross-encoder is measured.
    """
    (label, first), *others = fields.items()
    models = {other: Reranking(f"{FIELD}{name}", DEPTH) for other, name in others}
    searches = [(label, first, other, model) for other, model in models.items()]
    if cross_encoder is not None:
        model = Reranking(cross_encoder, CROSS_ENCODER_DEPTH)
        searches.append((label, first, "cross-encoder", model))
        if DENSE in fields:
            using = f"{first}+{DENSE}"
            searches.append((f"{label}+{DENSE}", using, "cross-encoder", model))
    return [
        System(
            f"{name}>{other}",
            f"weight {weight:g}",
            SearchConfig(using=using, rerank=_weighed(model, weight)),
        )
        for name, using, other, model in searches
        for weight in WEIGHTS
    ]


def _weighed(model: Reranking, weight: float) -> Reranking:
    return Reranking(model.model, model.depth, weight=weight)
