"""Columns: the values of one metadata key in the documents of a segment, dictionary-encoded.

Filters, facets, sorting and grouping all read them. ``index.filters.tree`` says how keys and values
are read off metadata.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.filters.dates import instant
from index.filters.tree import (
    And,
    Condition,
    Equals,
    Exists,
    Filter,
    In,
    Kind,
    Not,
    Or,
    Range,
    Scalar,
)

# What a column takes in memory, roughly, and a value, beside the characters of a string.
COLUMN_BYTES, VALUE_BYTES = 2000, 250
# Sorts values of one key: by kind, where dates come before other strings, and within it.
SortKey = tuple[int, Any]


@dataclass(frozen=True, eq=False)
class Column:
    """The dictionary and, for each value in it, the documents that have it.

    The code of a value is its place in ``values``, which are distinct and ascend by kind (``kinds``
    int8 (v,)), then by value. ``documents`` int32 (entries,) are places in the segment's documents,
    of which there are ``size``; those with value c are at ``starts[c]`` to ``starts[c + 1]``
    (int64 (v + 1,)), at least one. A document may have several values, each once.
    """

    size: int
    kinds: NDArray[np.int8]
    values: Sequence[str | int | float]
    starts: NDArray[np.int64]
    documents: NDArray[np.int32]
    # What readers derive of it and want again, by names of their own.
    kept: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, roughly, with what is derived of it."""
        text = sum(len(value) for value in self.values if isinstance(value, str))
        entries = 12 * len(self.documents) + 8 * self.size
        return COLUMN_BYTES + entries + VALUE_BYTES * len(self.values) + text

    def scalar(self, code: int) -> Scalar:
        """The value of a code."""
        return Scalar(Kind(int(self.kinds[code])), self.values[code])

    @cached_property
    def codes(self) -> NDArray[np.int32]:
        """The code of each entry, int32 (entries,)."""
        return np.repeat(np.arange(len(self.values), dtype=np.int32), np.diff(self.starts))

    @cached_property
    def instants(self) -> tuple[list[int], NDArray[np.int64]]:
        """Of the strings that are dates, the instants ascending, and the code of each, int64."""
        first, last = self._codes_of(Kind.STRING)
        found = [
            (at, code)
            for code in range(first, last)
            if (at := instant(str(self.values[code]))) is not None
        ]
        found.sort()
        return [at for at, _ in found], np.array([code for _, code in found], dtype=np.int64)

    @cached_property
    def sort_keys(self) -> Mapping[int, SortKey]:
        """What each value sorts by, by its code; objects have no place in any order."""
        keys: dict[int, SortKey] = {}
        for kind in (Kind.BOOLEAN, Kind.NUMBER, Kind.STRING):
            place = int(kind) + (kind is Kind.STRING)
            keys |= {code: (place, self.values[code]) for code in range(*self._codes_of(kind))}
        at, codes = self.instants
        keys |= zip(codes.tolist(), ((int(Kind.STRING), each) for each in at), strict=True)
        return keys

    @cached_property
    def smallest(self) -> NDArray[np.int32]:
        """The code of the smallest value of each document, int32 (size,); -1: it has none."""
        return self._extreme(smallest=True)

    @cached_property
    def largest(self) -> NDArray[np.int32]:
        """The code of the largest value of each document, as ``smallest``."""
        return self._extreme(smallest=False)

    @cached_property
    def ranks(self) -> NDArray[np.int32]:
        """The rank of each value among all by ``sort_keys``, int32 (v,); equal ones share theirs.

        -1 for objects.
        """
        ranks = np.full(len(self.values), -1, dtype=np.int32)
        rank, before = -1, None
        for code in sorted(self.sort_keys, key=self.sort_keys.__getitem__):
            rank += self.sort_keys[code] != before
            before = self.sort_keys[code]
            ranks[code] = rank
        return ranks

    def having(self, scalar: Scalar) -> NDArray[np.int32]:
        """The documents that have a value, int32 (n,)."""
        (codes,) = [*self._matching([scalar])] or [(0, 0)]
        return self.documents[self.starts[codes[0]] : self.starts[codes[1]]]

    def counts(self, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many of the ``wanted`` documents, bool (size,), have each value; int64 (v,)."""
        if not len(self.values):
            return np.zeros(0, dtype=np.int64)
        if wanted.all():
            return np.diff(self.starts)
        return np.add.reduceat(wanted[self.documents], self.starts[:-1], dtype=np.int64)

    def passing(self, condition: Condition) -> NDArray[np.bool_]:
        """The documents for which a condition on the key holds, bool (size,)."""
        passing = np.zeros(self.size, dtype=np.bool_)
        if isinstance(condition, Exists):
            passing[self.documents] = True
        elif isinstance(condition, Range) and (bounds := _instants(condition)):
            passing[self.documents[self._within(condition, bounds)[self.codes]]] = True
        else:
            for first, last in self._parts(condition):
                passing[self.documents[self.starts[first] : self.starts[last]]] = True
        return passing

    def _parts(self, condition: Equals | In | Range) -> Iterable[tuple[int, int]]:
        """Codes [first, last) of values that satisfy a condition, in parts."""
        if isinstance(condition, Range):
            return [self._between(condition, self.values, *self._codes_of(condition.kind))]
        return self._matching(
            [condition.value] if isinstance(condition, Equals) else condition.values
        )

    def _matching(self, wanted: Iterable[Scalar]) -> Iterator[tuple[int, int]]:
        """The codes [first, last) of each of some values that is there."""
        for kind, value in wanted:
            first, last = self._codes_of(kind)
            code = bisect_left(self.values, value, first, last)
            if code < last and self.values[code] == value:
                yield code, code + 1

    def _within(self, condition: Range, bounds: Range) -> NDArray[np.bool_]:
        """Which values a range of dates holds, bool (v,): dates as instants, others as strings."""
        within = np.zeros(len(self.values), dtype=np.bool_)
        first, last = self._between(condition, self.values, *self._codes_of(Kind.STRING))
        within[first:last] = True
        at, codes = self.instants
        within[codes] = False
        first, last = self._between(bounds, at, 0, len(at))
        within[codes[first:last]] = True
        return within

    @staticmethod
    def _between(condition: Range, values: Sequence[Any], first: int, last: int) -> tuple[int, int]:
        """Where, from ``first`` to ``last``, ascending values are within the bounds."""
        end = last
        if condition.high is not None:
            find = bisect_right if condition.high_included else bisect_left
            end = find(values, condition.high.value, first, last)
        if condition.low is not None:
            find = bisect_left if condition.low_included else bisect_right
            first = find(values, condition.low.value, first, last)
        return first, max(first, end)

    def _codes_of(self, kind: Kind) -> tuple[int, int]:
        """The codes [first, last) of all values of a kind."""
        first, last = np.searchsorted(self.kinds, [int(kind), int(kind) + 1])
        return int(first), int(last)

    def _extreme(self, smallest: bool) -> NDArray[np.int32]:
        ranks = self.ranks[self.codes]
        # The last one written stays.
        order = np.argsort(-ranks if smallest else ranks, kind="stable")
        order = order[ranks[order] >= 0]
        extreme = np.full(self.size, -1, dtype=np.int32)
        extreme[self.documents[order]] = self.codes[order]
        return extreme


def make_columns(
    kinds: Sequence[int],
    values: Sequence[str | int | float],
    counts: Sequence[int],
    numbers: NDArray[np.int64],
    segments: Sequence[NDArray[np.int64]],
) -> list[Column]:
    """The column of each segment.

    Args:
        kinds: of the values.
        values: distinct, ascending by kind, then by value.
        counts: how many documents have each value.
        numbers: the sequence numbers of these, one value's after the other's, int64 (entries,).
        segments: the sequence numbers of the documents of each, int64 (n,), ascending.
    """
    codes = np.repeat(np.arange(len(values), dtype=np.int64), counts)
    columns = []
    for sequence in segments:
        places = np.minimum(np.searchsorted(sequence, numbers), max(len(sequence) - 1, 0))
        inside = sequence[places] == numbers if len(sequence) else np.zeros(len(numbers), np.bool_)
        held = np.bincount(codes[inside], minlength=len(values))
        (used,) = np.nonzero(held)
        columns.append(
            Column(
                len(sequence),
                np.array(kinds, dtype=np.int8)[used],
                [values[code] for code in used.tolist()],
                np.concatenate([np.zeros(1, np.int64), np.cumsum(held[used])]),
                places[inside].astype(np.int32),
            )
        )
    return columns


def passing(wanted: Filter, columns: Mapping[str, Column], size: int) -> NDArray[np.bool_]:
    """Which documents a filter lets pass, bool (size,).

    Args:
        wanted: the filter; its size was checked.
        columns: of each key that it names, over the same documents.
        size: how many documents there are.
    """
    if isinstance(wanted, Not):
        return ~passing(wanted.part, columns, size)
    if isinstance(wanted, And | Or):
        join = np.logical_and if isinstance(wanted, And) else np.logical_or
        return reduce(join, (passing(part, columns, size) for part in wanted.parts))
    return columns[wanted.key].passing(wanted)


def _instants(condition: Range) -> Range | None:
    """The same range of instants, where every bound is a date."""
    bounds = [condition.low, condition.high]
    for place, bound in enumerate(bounds):
        if bound is None:
            continue
        at = instant(bound.value) if isinstance(bound.value, str) else None
        if at is None:
            return None
        bounds[place] = Scalar(Kind.NUMBER, at)
    return replace(condition, low=bounds[0], high=bounds[1])
