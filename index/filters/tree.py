"""Filters: which documents may be returned, by their metadata.

A filter is a tree of And, Or and Not over conditions, each of which names a metadata key.

Metadata is read so: members of nested objects have dotted keys (``author.name``); a list stands
for each of its elements, also where they are objects or lists; null is no value. A condition holds
where any value under its key satisfies it, and compares only values of its own kind: strings by
code point, numbers by size (1 and 1.0 are the same), booleans only with booleans; a number that no
float can hold is no value. Where a document
has no value of that kind, the condition does not hold, and its Not does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from math import isfinite
from typing import NamedTuple

from lsr.corpus.documents import check_unicode
from lsr.errors import InputError

DEEPEST_FILTER = 16
MOST_CONDITIONS = 64
MOST_VALUES = 1000
LONGEST_KEY = 512
LONGEST_STRING = 200
LARGEST_INTEGER = 2**63 - 1


class Kind(IntEnum):
    """Kinds of value; the numbers are stored."""

    OBJECT = 0
    BOOLEAN = 1
    NUMBER = 2
    STRING = 3


class Scalar(NamedTuple):
    """One value with its kind, which tells true from 1."""

    kind: Kind
    value: str | int | float

    @property
    def plain(self) -> str | int | float | bool:
        """The value as JSON has it."""
        return bool(self.value) if self.kind is Kind.BOOLEAN else self.value

    @classmethod
    def of(cls, value: object) -> Scalar | None:
        """The scalar of a JSON value; None where it is no string, finite number or boolean.

        Strings beyond LONGEST_STRING characters become their beginning and a digest: equal
        strings stay equal, and their order to strings of up to that length stays right. Integers
        beyond 64 bits become the nearest float.

        Raises:
            InputError: it is a string that is not valid Unicode.
        """
        if isinstance(value, bool):
            return cls(Kind.BOOLEAN, int(value))
        if isinstance(value, str):
            return cls(Kind.STRING, _shortened(check_unicode(value, "string")))
        if isinstance(value, int | float) and (number := _finite(value)) is not None:
            return cls(Kind.NUMBER, number)
        return None

    @classmethod
    def parse(cls, value: object) -> Scalar:
        """The scalar of a value that a filter compares with.

        Raises:
            InputError: it is no string, finite number or boolean.
        """
        scalar = cls.of(value)
        if scalar is None:
            raise InputError(
                f"a filter compares with {_shown(value)}; "
                "give a string, a finite number, true or false"
            )
        return scalar


@dataclass(frozen=True, slots=True)
class Equals:
    """A value under the key is this one."""

    key: str
    value: Scalar

    def __post_init__(self) -> None:
        check_key(self.key)


@dataclass(frozen=True, slots=True)
class In:
    """A value under the key is one of these."""

    key: str
    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        check_key(self.key)
        if not self.values:
            raise InputError(f"the filter on {self.key!r} lists no value; give at least one")


@dataclass(frozen=True, slots=True)
class Range:
    """A value under the key is above ``low`` and below ``high``, or equal where that is allowed.

    A bound that is None does not bind; both are numbers or both strings.
    """

    key: str
    low: Scalar | None = None
    high: Scalar | None = None
    low_included: bool = True
    high_included: bool = True

    def __post_init__(self) -> None:
        check_key(self.key)
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        kinds = {bound.kind for bound in bounds}
        if len(kinds) != 1 or not kinds <= {Kind.NUMBER, Kind.STRING}:
            raise InputError(
                f"the range of {self.key!r} has {'bounds' if bounds else 'no bounds'}"
                f"{' that are not two numbers or two strings' if bounds else ''}; "
                "give one or two numbers, or one or two strings"
            )
        for bound in bounds:
            if isinstance(bound.value, str) and len(bound.value) > LONGEST_STRING:
                raise InputError(
                    f"a bound of the range of {self.key!r} is longer than {LONGEST_STRING} "
                    "characters; shorten it"
                )

    @property
    def kind(self) -> Kind:
        """What is compared."""
        bound = self.low or self.high
        assert bound is not None
        return bound.kind


@dataclass(frozen=True, slots=True)
class Exists:
    """There is a value under the key: anything but null and lists of nothing else."""

    key: str

    def __post_init__(self) -> None:
        check_key(self.key)


@dataclass(frozen=True, slots=True)
class And:
    """All of the parts hold."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of the parts holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Filter


Condition = Equals | In | Range | Exists
Filter = Condition | And | Or | Not


def check_size(root: Filter) -> None:
    """Raise InputError for a filter that would take too long: too deep, or of too many parts."""
    conditions = values = 0
    for part, depth in _walk(root):
        if depth > DEEPEST_FILTER:
            raise too_deep()
        if isinstance(part, And | Or):
            if not part.parts:
                raise InputError("a filter joins no conditions; give at least one")
        elif not isinstance(part, Not):
            conditions += 1
            values += len(part.values) if isinstance(part, In) else 1
    if conditions > MOST_CONDITIONS:
        raise InputError(
            f"the filter has {conditions} conditions; allowed are {MOST_CONDITIONS}; "
            "list values of one key together"
        )
    if values > MOST_VALUES:
        raise InputError(f"the filter lists {values} values; allowed are {MOST_VALUES}; list fewer")


def conditions_of(root: Filter) -> Iterator[Condition]:
    """The conditions that a filter joins, as they were written."""
    for part, _ in _walk(root):
        if not isinstance(part, And | Or | Not):
            yield part


def too_deep() -> InputError:
    """What is wrong with a filter that is nested too deeply."""
    return InputError(f"the filter is nested deeper than {DEEPEST_FILTER} levels; flatten it")


def join(kind: type[And] | type[Or], parts: list[Filter]) -> Filter:
    """The parts joined; a single one by itself."""
    return parts[0] if len(parts) == 1 else kind(tuple(parts))


def _walk(root: Filter) -> Iterator[tuple[Filter, int]]:
    waiting = [(root, 1)]
    while waiting:
        part, depth = waiting.pop()
        yield part, depth
        if isinstance(part, And | Or):
            waiting += [(inner, depth + 1) for inner in reversed(part.parts)]
        elif isinstance(part, Not):
            waiting.append((part.part, depth + 1))


def check_key(key: str, what: str = "a filter") -> None:
    """Raise InputError for what can't be a metadata key; ``what`` names it.

    Raises:
        InputError: it is empty, too long, or not valid Unicode.
    """
    check_unicode(key, f"key of {what}")
    if not 0 < len(key) <= LONGEST_KEY:
        raise InputError(
            f"the key of {what} has {len(key)} characters; allowed are 1 to {LONGEST_KEY}"
        )


def _finite(number: int | float) -> int | float | None:
    """The number as SQLite can hold it; None where it is not finite, as a float is."""
    if isinstance(number, int) and abs(number) <= LARGEST_INTEGER:
        return number
    try:
        return float(number) if isfinite(number) else None
    except OverflowError:
        return None


def _shortened(text: str) -> str:
    if len(text) <= LONGEST_STRING:
        return text
    digest = blake2b(text.encode(), digest_size=16).hexdigest()
    return f"{text[:LONGEST_STRING]} {digest}"


def _shown(value: object) -> str:
    kinds: dict[type, str] = {dict: "an object", list: "a list", type(None): "null"}
    return kinds.get(type(value), "a number that is not finite")
