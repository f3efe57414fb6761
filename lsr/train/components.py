"""What each side of a trained encoder may be.

The kinds are the components of the unified framework for learned sparse retrieval (Nguyen et al.
2023), of which any two go together where at least one of them has something to train.
"""

from __future__ import annotations

from dataclasses import dataclass

from lsr.encoders.term_pooling import POOLS
from lsr.errors import UsageError
from lsr.settings import check_choice
from lsr.train.config_file import STRICT

# Weights from the vocabulary projection: pooled over all positions, of the first position alone,
# only of terms that the text has, or with the input embeddings for a projection.
PROJECTIONS = ("mlm", "cls-mlm", "own-terms", "embeddings")
# Components with a language model; "mlp" weighs each position by a linear layer.
MODELS = (*PROJECTIONS, "mlp")
# Components that look terms up: a fixed table of IDF, one that is trained, and weight 1.
TABLES = ("idf", "learned", "binary")


@dataclass(frozen=True)
class MlpConfig:
    """How a side that is an "mlp" makes a term's weight of the numbers of its positions."""

    # "relu", as uniCOIL and DeepImpact, or "softplus", as EPIC.
    activation: str = "relu"
    # Logarithms that follow: 0, or 1 as EPIC.
    logs: int = 0
    # One weight of a term's several positions: "max", "sum" or "first"; of documents.
    pool: str = "max"
    # The same of queries.
    query_pool: str = "max"
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_choice("activation", self.activation, ("relu", "softplus"))
        check_choice("pool", self.pool, POOLS)
        check_choice("query_pool", self.query_pool, POOLS)
        if self.logs not in (0, 1):
            raise UsageError(f"logs is {self.logs}; allowed are 0 and 1")


def keeps_special(document: str, query: str) -> bool:
    """Whether special tokens have weights: where the projection gives them some on both sides."""
    return all(kind in PROJECTIONS and kind != "own-terms" for kind in (document, query))
