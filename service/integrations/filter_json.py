"""Filters of other libraries in the JSON form of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lsr.errors import InputError

ALL_OF, ANY_OF, NONE_OF = "must", "should", "must_not"
RANGES = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
COMPARISONS = ("==", "!=", *RANGES, "in", "not in")


def compared(key: str, operator: str, value: Any) -> dict[str, Any]:
    """A comparison with the value of a key; null stands for no value.

    Raises:
        InputError: there is no such operator, or the value is none that it compares with.
    """
    if operator not in COMPARISONS:
        raise InputError(
            f"a filter on {key!r} has the operator {operator!r}; allowed are "
            f"{', '.join(COMPARISONS)}"
        )
    if operator in RANGES:
        return {"key": key, "range": {RANGES[operator]: value}}
    if operator in ("!=", "not in"):
        return joined(NONE_OF, [compared(key, "==" if operator == "!=" else "in", value)])
    if operator == "==":
        return exists(key, False) if value is None else {"key": key, "match": {"value": value}}
    if not isinstance(value, list | tuple):
        raise InputError(f"a filter on {key!r} has {operator!r} without a list; give one")
    parts = [{"key": key, "match": {"any": given}}] if (given := _without_null(value)) else []
    if None in value:
        parts.append(exists(key, False))
    return joined(ANY_OF, parts) if parts else nothing(key)


def exists(key: str, wanted: bool) -> dict[str, Any]:
    """Whether there is a value under a key."""
    return {"key": key, "exists": wanted}


def nothing(key: str) -> dict[str, Any]:
    """What no document passes."""
    return joined(ALL_OF, [exists(key, True), exists(key, False)])


def joined(clause: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All, any or none of these."""
    return {clause: list(parts)}


def _without_null(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if value is not None]
