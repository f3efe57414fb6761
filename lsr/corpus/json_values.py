"""JSON from outside: one value, every number of it finite."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isfinite
from typing import Any

from lsr.errors import InputError

# Python itself takes no more than 4,300.
LONGEST_NUMBER = 4_000
Pairs = Callable[[list[tuple[str, Any]]], Any]


def parse_json(line: str, pairs: Pairs | None = None) -> Any:
    """One JSON value; ``pairs`` makes each object of its members.

    Raises:
        InputError: it is no JSON, or holds NaN or an infinite number.
    """
    try:
        return json_decoder(pairs).decode(line.rstrip())
    except RecursionError:
        raise InputError("the JSON is nested too deeply") from None
    except ValueError as error:
        raise InputError(f"not valid JSON: {error}") from None


def json_decoder(pairs: Pairs | None = None) -> json.JSONDecoder:
    """What decodes JSON with finite numbers; of others it raises InputError."""
    return json.JSONDecoder(
        object_pairs_hook=pairs,
        parse_int=_integer,
        parse_float=_finite,
        parse_constant=_no_constant,
    )


def _integer(number: str) -> int:
    if len(number) > LONGEST_NUMBER:
        raise InputError(f"a number has {len(number):,} digits; allowed are {LONGEST_NUMBER:,}")
    return int(number)


def _finite(number: str) -> float:
    value = float(number)
    return value if isfinite(value) else _no_constant(number)


def _no_constant(name: str) -> float:
    raise InputError(f"the number {name} is not allowed; give finite numbers")
