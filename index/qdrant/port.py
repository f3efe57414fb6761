"""The few calls of Qdrant that collections need, in our own types.

Errors of a port are those of ``lsr.errors``: UnavailableError where Qdrant can't be reached or has
no time, NotFoundError where a collection is not there, UsageError where it refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from index.qdrant.conditions import Condition
from lsr.sparse import SparseBatch, SparseVector

Vector = SparseVector | NDArray[np.float32]
Payload = Mapping[str, Any]
PayloadIndex = Literal["keyword", "integer", "float", "datetime"]


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One point: a number in [0, 2**63), its payload (JSON), and named vectors; some may lack.

    A dense vector is float32 (dimension,).
    """

    number: int
    payload: Payload
    vectors: Mapping[str, Vector] = field(default_factory=dict)


class Found(NamedTuple):
    """What one query found, best first: ``numbers`` int64 (n,), ``scores`` float32 (n,).

    Points of the same score are in no certain order.
    """

    numbers: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layout:
    """The vectors of a Qdrant collection: names of the sparse ones, dimensions of dense ones.

    ``shards`` and ``replicas`` are Qdrant's; None: its defaults.
    """

    sparse: tuple[str, ...]
    dense: Mapping[str, int]
    shards: int | None = None
    replicas: int | None = None


class QdrantPort(Protocol):
    """Points of one collection, by its name or by an alias."""

    name: str

    def at(self, name: str) -> QdrantPort:
        """The port to another collection at the same place, by the same connections."""
        ...

    def exists(self) -> bool:
        """Whether there is a collection, or an alias, of the name."""
        ...

    def create(self, layout: Layout) -> None:
        """Make the collection, empty."""
        ...

    def drop(self) -> None:
        """Delete the collection with all that is in it, if it is there."""
        ...

    def index_payload(self, path: str, kind: PayloadIndex) -> None:
        """Have Qdrant index a path of the payload; done where it is so already."""
        ...

    def write(self, upserts: Sequence[Point], deletes: Sequence[int] = ()) -> None:
        """Delete points, then write points whole, in this order; returns once searches see it."""
        ...

    def write_if(self, point: Point, condition: Condition) -> None:
        """Write a point whole if there is none of its number, or the condition holds for that."""
        ...

    def set_payload(self, number: int, payload: Payload) -> None:
        """Replace the members of a point's payload that are given."""
        ...

    def set_vectors(self, points: Sequence[Point]) -> None:
        """Replace the vectors of points that are there, those that are given; payloads stay."""
        ...

    def delete_matching(self, condition: Condition) -> None:
        """Delete the points for which a condition holds."""
        ...

    def retrieve(
        self,
        numbers: Sequence[int],
        payload: bool | Sequence[str] = True,
        vectors: Sequence[str] = (),
    ) -> dict[int, Point]:
        """Those of some points that are there: with their payload (or paths of it), and vectors."""
        ...

    def search(
        self,
        vector: str,
        queries: SparseBatch | NDArray[np.float32],
        limit: int,
        condition: Condition | None = None,
    ) -> list[Found]:
        """The points of highest inner product with each query, by exhaustive search.

        Args:
            vector: its name.
            queries: not empty rows of a sparse vector, or float32 (n, dimension).
            limit: of the points for each, at least 1.
            condition: holds for those that may be found.
        """
        ...

    def scroll(
        self,
        condition: Condition | None = None,
        after: int = -1,
        limit: int | None = None,
        payload: bool | Sequence[str] = True,
        vectors: Sequence[str] = (),
    ) -> Iterator[Point]:
        """Points in ascending order of numbers, beginning behind one; ``limit`` None: all."""
        ...

    def count(self, condition: Condition | None = None) -> int:
        """Exactly how many points a condition holds for."""
        ...

    def facet(
        self, path: str, limit: int, condition: Condition | None = None
    ) -> dict[str | int, int]:
        """Exactly how many points have each value of an indexed path; the most frequent ones."""
        ...

    def names(self) -> dict[str, str]:
        """Every name there: of a collection to itself, of an alias to its collection's name."""
        ...

    def switch_alias(self, alias: str, name: str | None) -> None:
        """Have an alias stand for a collection from now on, in one step; None: no more."""
        ...

    def snapshot(self, target: Path) -> Path:
        """A snapshot of the collection in a folder of this machine, written by Qdrant."""
        ...

    def flush(self) -> None:
        """Have all that was written on disk."""
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...


def sorted_vector(indices: Sequence[int], values: Sequence[float]) -> SparseVector:
    """A sparse vector whose terms Qdrant gives in any order."""
    terms, weights = np.array(indices, dtype=np.int32), np.array(values, dtype=np.float32)
    order = np.argsort(terms)
    return SparseVector(terms[order], weights[order])
