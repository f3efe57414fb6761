"""What the bench asks of an encoder, and the table of encoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar

from lsr.backbones.checkpoint import Checkpoint
from lsr.sparse import SparseBatch


class TextEncoder(ABC):
    """One model on the CPU, loaded by one library.

    Args:
        checkpoint: the model.
        max_length: tokens of a text, special tokens counted.
        options: those of its entry in ``ENCODERS``.
    """

    # What a call can be given, as the library has it by itself, and the values to try of each;
    # of values that are alike fast the bench keeps the first, so those of little memory come first.
    defaults: ClassVar[Mapping[str, Any]] = {}
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {}

    @abstractmethod
    def __init__(self, checkpoint: Checkpoint, max_length: int, **options: Any) -> None:
        """Load it."""

    @abstractmethod
    def encode(self, texts: Sequence[str], are_queries: bool, **settings: Any) -> Any:
        """The vectors in the library's own form, as its users get them; timed."""

    @abstractmethod
    def batch(self, found: Any) -> SparseBatch:
        """The vectors from what ``encode`` returned; not timed."""


@dataclass(frozen=True)
class Entry:
    """An encoder of the table.

    ``place`` is ``module:class``; ``tuned`` asks for the best of the class's grid in place of its
    defaults; ``peer`` marks what ours is compared with.
    """

    place: str
    packages: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    tuned: bool = False
    peer: bool = False

    def load(self) -> type[TextEncoder]:
        """The class."""
        module, name = self.place.split(":")
        found: type[TextEncoder] = getattr(import_module(module), name)
        return found


_OURS = "encode_bench.ours:OurEncoder"
_THEIRS = "encode_bench.theirs:SentenceTransformersEncoder"
_MODELS = ("torch", "transformers")
_PEER = (*_MODELS, "sentence_transformers")
# Each entry is a row. Another mode of ours is one more, with the options of its encoder name.
ENCODERS: dict[str, Entry] = {
    "lsr": Entry(_OURS, _MODELS),
    "sentence-transformers": Entry(_THEIRS, _PEER, peer=True),
    "sentence-transformers-tuned": Entry(_THEIRS, _PEER, tuned=True, peer=True),
}
NEEDS = {name: entry.packages for name, entry in ENCODERS.items()}
