"""Sorting: documents in the order of metadata keys in place of that of their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.collection.column import Column
from index.collection.view import View
from index.filters.tree import check_key
from lsr.errors import InputError

SCORE = "_score"
MOST_KEYS = 8
DIRECTIONS = {"asc": False, "desc": True}
MISSING = np.iinfo(np.int64).max
# From so many documents on for each that is wanted, most are put aside before the rest is sorted.
MANY = 4


@dataclass(frozen=True, slots=True)
class SortKey:
    """A key to sort by: of the metadata, or ``_score``.

    Values ascend, or descend: booleans, numbers, dates by their instants, then other strings by
    code point. Of several values of a document the smallest counts where they ascend, the largest
    where they descend. Documents without a value come last either way.
    """

    key: str
    descending: bool = False

    def __post_init__(self) -> None:
        check_key(self.key, "a sort key")

    @classmethod
    def parse(cls, text: str) -> SortKey:
        """The key of a text: ``year``, ``year:asc`` or ``year:desc``.

        Scores descend where nothing else is said, and values ascend.
        """
        key, colon, direction = text.rpartition(":")
        if colon and direction in DIRECTIONS:
            return cls(key, DIRECTIONS[direction])
        return cls(text, text == SCORE)


def check_sort(keys: Sequence[SortKey]) -> None:
    """Refuse too many keys, and one that is given twice.

    Raises:
        InputError: there are such.
    """
    names = [key.key for key in keys]
    if len(names) > MOST_KEYS:
        raise InputError(f"there are {len(names)} sort keys; allowed are {MOST_KEYS}")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"the sort keys name {twice!r} more than once; name each key once")


def sort_documents(
    view: View,
    keys: Sequence[SortKey],
    numbers: NDArray[np.int64],
    scores: NDArray[np.float64],
    depth: int,
) -> NDArray[np.int64]:
    """The first documents in the order of some keys; those that are equal in the order of writing.

    Args:
        view: what was searched; it is pinned.
        keys: the most significant first.
        numbers: of the documents, int64 (n,).
        scores: of these, float64 (n,).
        depth: documents wanted.

    Returns:
        Their places in ``numbers``, int64 (min(n, depth),).

    Raises:
        CorruptionError: the values of a key are damaged.
    """
    columns = view.columns_of({key.key for key in keys if key.key != SCORE}, numbers)
    parts = [_Part(held, places, ordinals, scores[places]) for held, places, ordinals in columns]
    # Ranks within a part are kept with its columns, and leave few documents of each to compare.
    parts = [
        part.select(_first([*(part.ranks(key) for key in keys), numbers[part.places]], depth))
        for part in parts
    ]
    places = np.concatenate([np.empty(0, np.int64), *(part.places for part in parts)])
    ranks = [_common_ranks(key, parts) for key in keys]
    order: NDArray[np.int64] = np.lexsort([numbers[places], *reversed(ranks)])[:depth]
    return places[order]


@dataclass(frozen=True, slots=True)
class _Part:
    """Documents of one part: their places among all, in the columns, and their scores."""

    columns: dict[str, Column]
    places: NDArray[np.int64]
    ordinals: NDArray[np.int64]
    scores: NDArray[np.float64]

    def select(self, kept: NDArray[np.int64]) -> _Part:
        """Some of the documents."""
        return _Part(self.columns, self.places[kept], self.ordinals[kept], self.scores[kept])

    def codes(self, key: SortKey) -> NDArray[np.int32]:
        """The code of each document's value that counts; -1: it has none."""
        column = self.columns[key.key]
        return (column.largest if key.descending else column.smallest)[self.ordinals]

    def ranks(self, key: SortKey) -> NDArray[Any]:
        """What ascends in the order of a key in this part, (n,)."""
        if key.key == SCORE:
            return -self.scores if key.descending else self.scores
        ranks = self.columns[key.key].ranks.astype(np.int64)
        return _in_order(key, ranks, self.codes(key))


def _common_ranks(key: SortKey, parts: Sequence[_Part]) -> NDArray[Any]:
    """What ascends in the order of a key in all parts, for the documents of each in turn."""
    if key.key == SCORE or len(parts) == 1:
        return np.concatenate([np.empty(0), *(part.ranks(key) for part in parts)])
    used = []
    for part in parts:
        codes = np.unique(part.codes(key))
        keys = part.columns[key.key].sort_keys
        used.append({code: keys[code] for code in codes[codes >= 0].tolist()})
    common = {each: n for n, each in enumerate(sorted({k for held in used for k in held.values()}))}
    found = [np.empty(0, np.int64)]
    for part, held in zip(parts, used, strict=True):
        ranks = np.zeros(len(part.columns[key.key].values), dtype=np.int64)
        ranks[list(held)] = [common[each] for each in held.values()]
        found.append(_in_order(key, ranks, part.codes(key)))
    return np.concatenate(found)


def _in_order(
    key: SortKey, ranks: NDArray[np.int64], codes: NDArray[np.int32]
) -> NDArray[np.int64]:
    """The rank of each document's value, in the direction of the key; the missing ones last."""
    found = np.append(ranks, 0)[codes]
    return np.where(codes < 0, MISSING, -found if key.descending else found)


def _first(ranks: Sequence[NDArray[Any]], depth: int) -> NDArray[np.int64]:
    """The first places in the order of ranks, the most significant first."""
    kept = np.arange(len(ranks[0]))
    if len(kept) > MANY * depth:
        last = np.partition(ranks[0], depth - 1)[depth - 1]
        kept = np.flatnonzero(ranks[0] <= last)
    order = np.lexsort([rank[kept] for rank in reversed(ranks)])
    return kept[order[:depth]]
