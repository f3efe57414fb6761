"""One side of an encoder: what turns documents, or queries, into term weights."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary

T = TypeVar("T")


class Component(Protocol):
    """Term weights of texts over a vocabulary.

    ``needs_statistics`` is true where ``encode`` needs the statistics of the collection, and
    ``uses_statistics`` where it takes them into account if they are there; ``inference_free`` is
    true where no model runs; ``identity`` is JSON that changes with anything that changes a vector.
    """

    vocabulary: Vocabulary
    needs_statistics: bool
    uses_statistics: bool = False
    inference_free: bool = False
    identity: Mapping[str, Any]

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through a model so far, for progress; 0 where there is none."""
        return 0

    def cuts(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which texts are longer than what of them is encoded, bool (n,)."""
        return np.zeros(len(texts), dtype=np.bool_)

    def encode(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        """One row a text, in their order; a blank text gets no terms.

        Raises:
            UsageError: the statistics are needed and not given.
        """
        ...


@dataclass(eq=False)
class Lazy(Generic[T]):
    """A model that is loaded once, when it is first needed, for all who share it."""

    load: Callable[[], T]

    @cached_property
    def value(self) -> T:
        """The loaded model.

        Raises:
            MissingDependencyError: it needs torch or transformers, which is not installed.
        """
        return self.load()


class SharedModels:
    """The models that the two sides of an encoder load, each once."""

    def __init__(self) -> None:
        self._models: dict[Hashable, Lazy[Any]] = {}

    def get(self, key: Hashable, load: Callable[[], T]) -> Lazy[T]:
        """The model of that key; ``load`` makes it, if no one asked for it before."""
        return self._models.setdefault(key, Lazy(load))
