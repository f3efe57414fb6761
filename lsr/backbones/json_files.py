"""JSON files of a model folder: of bounded size, with what is wrong explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lsr.errors import InputError

LARGEST_JSON = 256 << 20


def read_json(path: Path) -> Any:
    """Parse a JSON file of bounded size.

    Raises:
        InputError: the file is larger than 256 MiB, no JSON, or nested too deep.
    """
    if path.stat().st_size > LARGEST_JSON:
        raise InputError(f"{path} is larger than {LARGEST_JSON >> 20} MiB; no such JSON is read")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """As ``read_json``, of a file that must hold an object."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object; restore the checkpoint's own file")
    return value
