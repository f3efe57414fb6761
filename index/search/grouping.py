"""Grouping: the best documents of each value of a metadata key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.collection.column import Column
from index.collection.view import View
from index.filters.tree import Kind, Scalar, check_key
from lsr.errors import InputError

MOST_HITS = 100
# The place of a document that is not in a ranking: behind all that are.
NOWHERE = np.iinfo(np.int64).max
# The value of a group; None: that of the documents without one.
GroupValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Grouping:
    """A key whose values are groups, and hits wanted of each."""

    key: str
    hits: int = 1

    def __post_init__(self) -> None:
        check_key(self.key, "the grouping")
        if not 1 <= self.hits <= MOST_HITS:
            raise InputError(f"the hits a group are {self.hits}; allowed is 1 to {MOST_HITS}")


@dataclass(frozen=True, slots=True)
class Group:
    """A group, and the places of its first members in the ranking, ascending."""

    value: GroupValue
    members: list[int]


def group_documents(
    view: View, grouping: Grouping, numbers: NDArray[np.int64], offset: int, limit: int
) -> list[Group]:
    """The groups of a ranking, in the order of their best members.

    A document of several values is in the group of each, and those without any form one group.

    Args:
        view: what was searched; it is pinned.
        grouping: the key, and how many members.
        numbers: the documents of the ranking, int64 (n,), best first.
        offset: groups to leave out at the top.
        limit: groups wanted after these.

    Raises:
        CorruptionError: the values of the key are damaged.
    """
    parts = []
    for columns, places, ordinals in view.columns_of([grouping.key], numbers):
        column = columns[grouping.key]
        ranks = np.full(column.size, NOWHERE, dtype=np.int64)
        ranks[ordinals] = places
        parts.append(_Part(column, ranks))
    best: dict[Scalar | None, int] = {}
    for part in parts:
        for scalar, rank in part.first(offset + limit):
            best[scalar] = min(rank, best.get(scalar, NOWHERE))
    # Values of the same document are in the order of values.
    chosen = sorted(best.items(), key=lambda each: (each[1], each[0] or (Kind.OBJECT, 0)))
    return [
        Group(scalar and scalar.plain, _members(parts, scalar)[: grouping.hits])
        for scalar, _ in chosen[offset : offset + limit]
    ]


def _members(parts: Sequence[_Part], scalar: Scalar | None) -> list[int]:
    found = np.concatenate([part.members(scalar) for part in parts])
    members: list[int] = np.sort(found[found < NOWHERE]).tolist()
    return members


@dataclass(frozen=True, slots=True)
class _Part:
    """A column, and the place of each document in the ranking, int64 (size,)."""

    column: Column
    ranks: NDArray[np.int64]

    def first(self, count: int) -> list[tuple[Scalar | None, int]]:
        """The groups of the best members, each with the place of this one."""
        column = self.column
        best = np.empty(0, np.int64)
        if len(column.values):
            best = np.minimum.reduceat(self.ranks[column.documents], column.starts[:-1])
            best = np.where(column.kinds == Kind.OBJECT, NOWHERE, best)
        codes = np.argsort(best, kind="stable")[:count]
        codes = codes[best[codes] < NOWHERE]
        found: list[tuple[Scalar | None, int]] = [
            (column.scalar(code), int(best[code])) for code in codes.tolist()
        ]
        without = self.members(None)
        if len(without) and without.min() < NOWHERE:
            found.append((None, int(without.min())))
        return found

    def members(self, scalar: Scalar | None) -> NDArray[np.int64]:
        """The places of all documents of a group, in no order; NOWHERE where one has none."""
        if scalar is None:
            return self.ranks[self.column.smallest < 0]
        return self.ranks[self.column.having(scalar)]
