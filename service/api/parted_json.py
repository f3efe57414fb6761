"""Large JSON answers, encoded bit by bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial

from fastapi.responses import JSONResponse

_dumps = partial(json.dumps, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class PartedJSONResponse(JSONResponse):
    """The bytes of a ``JSONResponse`` of an object, the elements of its lists encoded one by one.

    Python's encoder gives no other thread a turn before it has ended, and an answer may have
    megabytes.
    """

    def render(self, content: Mapping[str, object]) -> bytes:
        """The body."""
        members = (f"{_dumps(key)}:{_value(value)}" for key, value in content.items())
        return f"{{{','.join(members)}}}".encode()


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_dumps, value))}]"
    return _dumps(value)
