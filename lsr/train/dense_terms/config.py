"""How dense terms are added to an encoder."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from lsr.errors import UsageError
from lsr.settings import check_choice, check_length, check_range
from lsr.train.config import PRECISIONS, SourceConfig
from lsr.train.config_file import STRICT

KIND = "dense-terms"


@dataclass(frozen=True, slots=True)
class DenseTermsConfig:
    """Which models are joined, and how vectors of terms are fitted."""

    # The sparse encoder: a folder with a masked language model for documents, or the name of the
    # one that ships with lsr.
    base: str
    # The dense model, a hub id or folder. It stays as it is, and encodes documents, unless there is
    # a student: then options of ``DenseConfig`` may stand behind it, as ``,dtype=bfloat16``.
    model: str
    # Of a query's terms together, where they point exactly at a document; above 0. A good answer by
    # lsr-tiny-v1 scores about 40.
    weight: float = 30.0
    # Dense terms of a document, of which those stay that are among its largest weights; 1 or more.
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


@dataclass(frozen=True, slots=True)
class StudentConfig:
    """Some layers of the dense model, which learn to make its vectors of documents."""

    # Of the dense model's layers, counted from 0, those that the student begins with, ascending; at
    # least one. The last one should be among them: its states are what is pooled.
    layers: tuple[int, ...]
    # Tokens of a document that the student reads, 3 or more; the dense model reads what it always
    # does.
    max_length: int = 128
    # Steps of AdamW; 1 or more.
    steps: int = 10_000
    # Documents of a step; 1 or more.
    batch_size: int = 64
    # To which the learning rate rises linearly, to fall linearly to 0; above 0.
    learning_rate: float = 1e-3
    # Share of the steps over which it rises, 0 to 1.
    warm_up: float = 0.01
    # AdamW's; 0 or more.
    weight_decay: float = 0.01
    # A longer gradient is shortened to this norm; 0: it is not.
    max_norm: float = 1.0
    # Whether the embeddings of words are trained too.
    words: bool = False
    # What it computes in while it learns, as in ``MemoryConfig``.
    precision: str = "auto"
    # Share of the documents by which it is measured; 0 to below 1.
    held_out: float = 0.005
    # Steps from one writing of the training state to the next; 1 or more.
    checkpoint_every: int = 500
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        ascending = all(a < b for a, b in itertools.pairwise((-1, *self.layers)))
        if not self.layers or not ascending:
            raise UsageError(
                f"layers is {list(self.layers)}; allowed are one or more numbers from 0 on, "
                "ascending"
            )
        check_length(self.max_length)
        for name in ("steps", "batch_size", "checkpoint_every"):
            check_range(name, getattr(self, name), 1)
        check_range("learning_rate", self.learning_rate, 1e-12, 1e6)
        for name in ("weight_decay", "max_norm"):
            check_range(name, getattr(self, name), 0)
        check_range("warm_up", self.warm_up, 0, 1)
        check_range("held_out", self.held_out, 0, 0.99)
        check_choice("precision", self.precision, PRECISIONS)


@dataclass(frozen=True)
class DenseTermsTrainingConfig:
    """A making of dense terms; each table of the TOML file is a field."""

    # "dense-terms", which tells it from the training of a sparse encoder.
    kind: str
    # Of queries and documents; which of them belong together is not used. At least one.
    sources: tuple[SourceConfig, ...]
    # Everything else; its seed also decides samples.
    dense_terms: DenseTermsConfig
    # What encodes documents in place of the dense model; None: nothing does.
    student: StudentConfig | None = None
    # Folder of the encoder and its log.
    output: str = "dense-terms"
    # Of the encoder, for its card.
    licence: str = "not stated"
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, (KIND,))
        if not self.sources:
            raise UsageError("a training needs at least one table [[sources]]")
