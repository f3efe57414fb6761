"""The JSON form of filters, as Qdrant has it.

A filter is an object of one or more of ``must`` (all of these hold), ``should`` (at least one
does) and ``must_not`` (none does), each a list of filters and conditions; all that are given
must be satisfied. A condition is a ``key`` with one of ``match`` (``{"value": V}`` or
``{"any": [V, ...]}``), ``range`` (``gt`` or ``gte``, ``lt`` or ``lte``) and ``exists`` (true or
false). Nothing may be empty: a list of no conditions is more likely a mistake than a wish.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from index.filters.tree import (
    DEEPEST_FILTER,
    And,
    Condition,
    Equals,
    Exists,
    Filter,
    In,
    Not,
    Or,
    Range,
    Scalar,
    check_size,
    join,
    too_deep,
)
from lsr.errors import InputError

CLAUSES = ("must", "should", "must_not")
TESTS = ("match", "range", "exists")
LOW = {"gt": False, "gte": True}
HIGH = {"lt": False, "lte": True}


def parse_filter_json(value: object) -> Filter:
    """The filter of a JSON value.

    Raises:
        InputError: it is malformed, too deep or too large.
    """
    parsed = _filter(value, DEEPEST_FILTER)
    check_size(parsed)
    return parsed


def _filter(value: object, levels: int) -> Filter:
    if levels == 0:
        raise too_deep()
    members = _object(value, "a filter")
    if "key" in members:
        return _condition(members)
    _only(members, CLAUSES, "a filter")
    parts: list[Filter] = []
    if "must" in members:
        parts += _list(members["must"], "must", levels)
    if "should" in members:
        parts.append(join(Or, _list(members["should"], "should", levels)))
    if "must_not" in members:
        parts.append(Not(join(Or, _list(members["must_not"], "must_not", levels))))
    return join(And, parts)


def _condition(members: Mapping[str, Any]) -> Filter:
    key = members["key"]
    if not isinstance(key, str):
        raise InputError("the key of a filter's condition is not a string; give a string")
    test = _single({name: members[name] for name in members if name != "key"}, TESTS, key)
    value = members[test]
    if test == "exists":
        if not isinstance(value, bool):
            raise InputError(f"'exists' of {key!r} is neither true nor false; give one of them")
        return Exists(key) if value else Not(Exists(key))
    return _match(key, value) if test == "match" else _range(key, value)


def _match(key: str, value: object) -> Condition:
    members = _object(value, f"'match' of {key!r}")
    if _single(members, ("value", "any"), key) == "value":
        return Equals(key, Scalar.parse(members["value"]))
    if not isinstance(members["any"], list):
        raise InputError(f"'any' of {key!r} is no list; give a list of values")
    return In(key, tuple(Scalar.parse(value) for value in members["any"]))


def _range(key: str, value: object) -> Range:
    members = _object(value, f"'range' of {key!r}")
    _only(members, (*LOW, *HIGH), f"'range' of {key!r}")
    low, high = ([name for name in members if name in names] for names in (LOW, HIGH))
    if len(low) > 1 or len(high) > 1:
        both = " and ".join(low if len(low) > 1 else high)
        raise InputError(f"'range' of {key!r} has both {both}; give one of them")
    return Range(
        key,
        Scalar.parse(members[low[0]]) if low else None,
        Scalar.parse(members[high[0]]) if high else None,
        LOW[low[0]] if low else True,
        HIGH[high[0]] if high else True,
    )


def _list(value: object, clause: str, levels: int) -> list[Filter]:
    if not isinstance(value, list) or not value:
        given = "is empty" if isinstance(value, list) else "is no list"
        raise InputError(f"{clause!r} of the filter {given}; give a list of conditions")
    return [_filter(part, levels - 1) for part in value]


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{name} is not a JSON object; give an object")
    return value


def _only(members: Mapping[str, Any], allowed: tuple[str, ...], name: str) -> None:
    """Raise InputError unless there is a member, and only such as are allowed."""
    unknown = [member for member in members if member not in allowed]
    if unknown or not members:
        given = f"has {unknown[0][:40]!r}" if unknown else "is empty"
        raise InputError(f"{name} {given}; allowed are {', '.join(allowed)}")


def _single(members: Mapping[str, Any], allowed: tuple[str, ...], key: str) -> str:
    """The one member; raises InputError where it is none of these or there are more."""
    if len(members) != 1 or (name := next(iter(members))) not in allowed:
        given = ", ".join(repr(member[:40]) for member in list(members)[:4]) or "nothing"
        raise InputError(
            f"the condition on {key[:40]!r} has {given}; give exactly one of {', '.join(allowed)}"
        )
    return name
