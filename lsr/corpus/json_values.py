"""JSON from outside: one value, every number of it finite."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isfinite
from typing import Any

from lsr.errors import InputError


def parse_json(line: str, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """One JSON value; ``pairs`` makes each object of its members.

    Raises:
        InputError: it is no JSON, or holds NaN or an infinite number.
    """
    try:
        return json.loads(
            line, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=pairs
        )
    except RecursionError:
        raise InputError("the JSON is nested too deeply") from None
    except ValueError as error:
        raise InputError(f"not valid JSON: {error}") from None


def _finite(number: str) -> float:
    value = float(number)
    return value if isfinite(value) else _no_constant(number)


def _no_constant(name: str) -> float:
    raise InputError(f"the number {name} is not allowed; give finite numbers")
