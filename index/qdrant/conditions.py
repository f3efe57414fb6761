"""Which points of Qdrant are meant: conditions on their payload, as every port translates them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Match:
    """A value under a path of the payload is one of these: all strings, or all integers."""

    path: str
    values: tuple[str, ...] | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """A value under a path is within bounds: floats of numbers, RFC 3339 texts of instants.

    A bound that is None does not bind.
    """

    path: str
    low: float | str | None = None
    high: float | str | None = None
    low_included: bool = True
    high_included: bool = True

    @property
    def bounds(self) -> dict[str, float | str]:
        """By the names that Qdrant has for them."""
        named = {
            "gte" if self.low_included else "gt": self.low,
            "lte" if self.high_included else "lt": self.high,
        }
        return {name: bound for name, bound in named.items() if bound is not None}

    @property
    def of_instants(self) -> bool:
        """Whether bounds are instants."""
        return isinstance(self.low, str) or isinstance(self.high, str)


@dataclass(frozen=True, slots=True)
class Points:
    """The point is one of these numbers."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Every:
    """All of the parts hold; without a part, always."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of the parts holds; without a part, never."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Neither:
    """The part does not hold."""

    part: Condition


Condition = Match | Between | Points | Every | Either | Neither
NEVER = Points(())


def every(parts: Sequence[Condition | None]) -> Condition | None:
    """All of some conditions, of which those that are None always hold; None: there is no other."""
    there = tuple(part for part in parts if part is not None)
    if not there:
        return None
    return there[0] if len(there) == 1 else Every(there)
