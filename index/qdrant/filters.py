"""Filters as conditions of Qdrant that hold for the same documents as elsewhere.

Values and their kinds are asked for as they lie in payloads (``index.qdrant.layout``).
Ranges of numbers and of instants are Qdrant's own. It has no ranges of other strings, of integers
that no float is, and of instants between two microseconds: of these, the distinct values under the
key are asked for, and those that are in the range are named one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import replace

import numpy as np

from index.collection.column import Column
from index.filters.dates import instant
from index.filters.tree import (
    And,
    Equals,
    Exists,
    Filter,
    Kind,
    Not,
    Or,
    Range,
    Scalar,
    check_size,
)
from index.qdrant.conditions import (
    NEVER,
    Between,
    Condition,
    Either,
    Every,
    Match,
    Neither,
)
from index.qdrant.layout import (
    HAS,
    ODD,
    instant_at,
    is_exact_float,
    path_of,
    scalar_of,
    token_of,
)
from lsr.errors import InputError

# Distinct values that a range is looked up in, at most.
MOST_LOOKED_UP = 10_000
# The values of a path in points for which a condition holds, so many of them at most.
Values = Callable[[str, int, Condition | None], Iterable[str | int]]


def condition_of(wanted: Filter, has: Set[str], values: Values) -> Condition:
    """The condition that holds for the documents that a filter lets pass.

    Args:
        wanted: the filter.
        has: the keys that documents have, with the numbers of their kinds in front (``has_of``).
        values: gives distinct values.

    Raises:
        InputError: the filter is too deep or too large, or a range would have to be looked up in
            more than ``MOST_LOOKED_UP`` values.
    """
    check_size(wanted)
    return _condition(wanted, has, values)


def having(key: str, *kinds: Kind) -> Condition:
    """That there is a value of one of some kinds under a key."""
    return Match(HAS, tuple(f"{int(kind)}{key}" for kind in kinds))


def column_of(scalars: Iterable[Scalar]) -> Column:
    """A column of documents with a value each, in the order of values."""
    ordered = sorted(scalars)
    places = np.arange(len(ordered) + 1)
    return Column(
        len(ordered),
        np.array([scalar.kind for scalar in ordered], dtype=np.int8),
        [scalar.value for scalar in ordered],
        places.astype(np.int64),
        places[:-1].astype(np.int32),
    )


def _condition(wanted: Filter, has: Set[str], values: Values) -> Condition:
    if isinstance(wanted, Not):
        return Neither(_condition(wanted.part, has, values))
    if isinstance(wanted, And | Or):
        parts = tuple(_condition(part, has, values) for part in wanted.parts)
        return Every(parts) if isinstance(wanted, And) else Either(parts)
    if not any(f"{int(kind)}{wanted.key}" in has for kind in Kind):
        return NEVER
    if isinstance(wanted, Exists):
        return having(wanted.key, *Kind)
    if isinstance(wanted, Range):
        return _range(wanted, has, values)
    scalars = (wanted.value,) if isinstance(wanted, Equals) else wanted.values
    return Match(path_of(wanted.key, "is"), tuple(dict.fromkeys(map(token_of, scalars))))


def _range(wanted: Range, has: Set[str], values: Values) -> Condition:
    """A range: Qdrant's own, and what that doesn't find looked up."""
    # Qdrant's engine looks up nothing under a key that never had a value to index.
    if f"{int(wanted.kind)}{wanted.key}" not in has:
        return NEVER
    own = _of_numbers(wanted) if wanted.kind is Kind.NUMBER else _of_instants(wanted)
    if own is None:
        return _looked_up(wanted, values, None)
    odd = f"{ODD}{wanted.key}"
    if odd not in has:
        return own
    return Either((own, _looked_up(wanted, values, Match(HAS, (odd,)))))


def _looked_up(wanted: Range, values: Values, among: Condition | None) -> Condition:
    """That a value is one of those in the range, of the points for which ``among`` holds."""
    path = path_of(wanted.key, "is")
    tokens = list(values(path, MOST_LOOKED_UP + 1, among))
    if len(tokens) > MOST_LOOKED_UP:
        raise InputError(
            f"the range of {wanted.key!r} is none that Qdrant has, and there are more than "
            f"{MOST_LOOKED_UP:,} values to look it up in; give bounds that are dates or numbers "
            "where the values are, or list values"
        )
    column = column_of(map(scalar_of, tokens))
    passing = np.flatnonzero(column.passing(wanted)).tolist()
    found = tuple(token_of(column.scalar(code)) for code in passing)
    return Match(path, found) if found else NEVER


def _of_numbers(wanted: Range) -> Between:
    """The range of those numbers that floats are: what lies beyond a bound is the same."""
    bounds = Between(
        path_of(wanted.key, "n"),
        low_included=wanted.low_included,
        high_included=wanted.high_included,
    )
    if wanted.low is not None:
        low = wanted.low.value
        assert not isinstance(low, str)
        bounds = replace(bounds, low=float(low))
        if not is_exact_float(low):
            bounds = replace(bounds, low_included=float(low) > low)
    if wanted.high is not None:
        high = wanted.high.value
        assert not isinstance(high, str)
        bounds = replace(bounds, high=float(high))
        if not is_exact_float(high):
            bounds = replace(bounds, high_included=float(high) < high)
    return bounds


def _of_instants(wanted: Range) -> Between | None:
    """The range of those instants that Qdrant holds; None: a bound is no date, or out of its reach.

    They are microseconds, and bounds may be between two.
    """
    bounds = Between(
        path_of(wanted.key, "at"),
        low_included=wanted.low_included,
        high_included=wanted.high_included,
    )
    if wanted.low is not None:
        low, between = _microsecond(wanted.low)
        if low is None:
            return None
        bounds = replace(bounds, low=low, low_included=wanted.low_included and not between)
    if wanted.high is not None:
        high, between = _microsecond(wanted.high)
        if high is None:
            return None
        bounds = replace(bounds, high=high, high_included=wanted.high_included or between)
    return bounds


def _microsecond(bound: Scalar) -> tuple[str | None, bool]:
    """The last microsecond of Qdrant's that is not after a bound, and whether it is before it."""
    at = instant(str(bound.value))
    return (None, False) if at is None else (instant_at(at // 1000), at % 1000 > 0)
