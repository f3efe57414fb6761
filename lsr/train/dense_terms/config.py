"""How dense terms are added to an encoder."""

from __future__ import annotations

from dataclasses import dataclass

from lsr.errors import UsageError
from lsr.settings import check_choice, check_range
from lsr.train.config import SourceConfig
from lsr.train.config_file import STRICT

KIND = "dense-terms"


@dataclass(frozen=True, slots=True)
class DenseTermsConfig:
    """Which models are joined, and how vectors of terms are fitted."""

    # The sparse encoder: a folder with a masked language model for documents, or the name of the
    # one that ships with lsr.
    base: str
    # The dense model, a hub id or folder. It stays as it is, and encodes documents.
    model: str
    # Of a query's terms together, where they point exactly at a document; above 0. The default is
    # about the score of a good answer by lsr-tiny-v1.
    weight: float = 40.0
    # Dense terms of a document, beside those that the base gives it; 1 or more.
    top: int = 150
    # Training documents by which the mean of each term is taken; 1 or more.
    documents: int = 5000
    # How often each query is seen; 1 or more.
    epochs: int = 4
    # Queries of a step; 1 or more.
    batch_size: int = 512
    # From which the rate of Adam falls linearly to 0; above 0.
    learning_rate: float = 2e-3
    # Share of the queries by which the fit is measured; 0 to below 1.
    held_out: float = 0.02
    # Decides samples and order.
    seed: int = 0
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if not self.base or not self.model:
            raise UsageError("base or model is empty; give a sparse encoder and a dense model")
        for name in ("top", "documents", "epochs", "batch_size"):
            check_range(name, getattr(self, name), 1)
        check_range("seed", self.seed, 0)
        for name in ("weight", "learning_rate"):
            check_range(name, getattr(self, name), 1e-9, 1e6)
        check_range("held_out", self.held_out, 0, 0.99)


@dataclass(frozen=True)
class DenseTermsTrainingConfig:
    """A making of dense terms; each table of the TOML file is a field."""

    # "dense-terms", which tells it from the training of a sparse encoder.
    kind: str
    # Of queries and documents; which of them belong together is not used. At least one.
    sources: tuple[SourceConfig, ...]
    # Everything else; its seed also decides samples.
    dense_terms: DenseTermsConfig
    # Folder of the encoder and its log.
    output: str = "dense-terms"
    # Of the encoder, for its card.
    licence: str = "not stated"
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, (KIND,))
        if not self.sources:
            raise UsageError("a training needs at least one table [[sources]]")
