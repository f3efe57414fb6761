"""Facets: how many documents have each value of a metadata key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index.collection.column import Column
from index.collection.view import Chosen, View
from index.filters.tree import Kind, Scalar, check_key
from lsr.errors import InputError
from lsr.settings import check_choice

MOST_FACETS = 64
MOST_VALUES = 10_000
FILTERED, MATCHING = "filtered", "matching"
# A column, the codes of the values that were counted, and how often each was.
_Part = tuple[Column, NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Facet:
    """What is to be counted."""

    # Of the metadata; members of objects have dotted keys.
    key: str
    # Values wanted.
    limit: int = 10
    # Over which documents: all that pass the filter, or those of them that match the query too.
    over: Literal["filtered", "matching"] = "filtered"

    def __post_init__(self) -> None:
        check_key(self.key, "a facet")
        check_choice("over", self.over, (FILTERED, MATCHING))
        if not 1 <= self.limit <= MOST_VALUES:
            raise InputError(
                f"the limit of the facet {self.key!r} is {self.limit}; allowed is 1 to "
                f"{MOST_VALUES:,}"
            )


@dataclass(frozen=True, slots=True)
class FacetCounts:
    """How many documents have each value of a key; one with several values counts for each."""

    key: str
    # Which documents were counted, as in Facet.
    over: Literal["filtered", "matching"]
    # How many these are, and how many of them have any value.
    documents: int
    having: int
    # How many values there are; ``values`` has the first of them.
    distinct: int
    # Each with its count: the most frequent first, of equal ones the smaller value.
    values: list[tuple[str | int | float | bool, int]]
    # Whether all documents were counted that match; those that pass the filter always are.
    exact: bool = True


def count_facet(view: View, facet: Facet, chosen: Chosen, exact: bool = True) -> FacetCounts:
    """Count the values of a key in the documents that the view has chosen.

    Raises:
        CorruptionError: the values of the key are damaged.
    """
    found: list[_Part] = []
    documents, having, parts = view.value_counts(facet.key, chosen)
    for column, held in parts:
        counts = np.where(column.kinds == Kind.OBJECT, 0, held)
        codes = np.flatnonzero(counts)
        if len(codes):
            found.append((column, codes, counts[codes]))
    distinct, best = _first(found, facet.limit)
    return FacetCounts(
        facet.key,
        facet.over,
        documents,
        having,
        distinct,
        [(scalar.plain, count) for scalar, count in best],
        exact,
    )


def _first(found: Sequence[_Part], limit: int) -> tuple[int, list[tuple[Scalar, int]]]:
    """How many values there are in all segments, and the most frequent with their counts."""
    if len(found) == 1:
        ((column, codes, counts),) = found
        first = np.lexsort((codes, -counts))[:limit]
        pairs = zip(codes[first].tolist(), counts[first].tolist(), strict=True)
        return len(codes), [(column.scalar(code), count) for code, count in pairs]
    counted: dict[tuple[int, str | int | float], int] = {}
    for column, codes, counts in found:
        values = (column.values[code] for code in codes.tolist())
        for kind, value, count in zip(
            column.kinds[codes].tolist(), values, counts.tolist(), strict=True
        ):
            counted[kind, value] = counted.get((kind, value), 0) + count
    best = nsmallest(limit, counted.items(), key=lambda each: (-each[1], each[0]))
    return len(counted), [(Scalar(Kind(kind), value), count) for (kind, value), count in best]
