"""One side of an encoder: what turns documents, or queries, into term weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary

T = TypeVar("T")


class Component(Protocol):
    """Term weights of texts over a vocabulary.

    ``needs_statistics`` is true where ``encode`` needs the statistics of the collection, and
    ``uses_statistics`` where it takes them into account if they are there;
    ``identity`` is JSON that changes with anything that changes a vector.
    """

    vocabulary: Vocabulary
    needs_statistics: bool
    uses_statistics: bool = False
    identity: Mapping[str, Any]

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through a model so far, for progress; 0 where there is none."""
        return 0

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


def changed(config: object, *without: str) -> dict[str, Any]:
    """The settings of a dataclass that differ from its defaults, but for those named."""
    return {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)  # type: ignore[arg-type]
        if field.name not in without and getattr(config, field.name) != field.default
    }


def check_length(max_length: int, option: str = "max_length") -> None:
    """Raise UsageError unless 3 <= max_length <= 1,000,000."""
    if not 3 <= max_length <= 1_000_000:
        raise UsageError(f"{option} is {max_length}; allowed is 3 to 1000000")


def check_logs(logs: int) -> None:
    """Raise UsageError unless logs is 0, 1 or 2."""
    if logs not in (0, 1, 2):
        raise UsageError(f"logs is {logs}; allowed are 1, 2, and 0 for what the checkpoint says")
