"""What was measured, in a file that a run which was cut off goes on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Results:
    """A file of JSON lines: of each dataset and system what was found, by the key of its settings.

    A line that is not whole, as a run that was killed leaves it, counts as not there.

    Args:
        path: the file, made where it isn't there; None: nothing is kept.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._found: dict[tuple[str, str, str], dict[str, Any]] = {}
        text = path.read_text(encoding="utf-8") if path and path.exists() else ""
        for line in text.splitlines():
            try:
                record = json.loads(line)
                key = record["dataset"], record["system"], record["key"]
                self._found[key] = record["found"]
            except (ValueError, TypeError, KeyError):
                continue
        if path and text and not text.endswith("\n"):
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")

    def get(self, dataset: str, system: str, key: str) -> dict[str, Any] | None:
        """What was found, or None."""
        return self._found.get((dataset, system, key))

    def put(self, dataset: str, system: str, key: str, found: dict[str, Any]) -> None:
        """Keep it."""
        self._found[dataset, system, key] = found
        if self._path is None:
            return
        record = {"dataset": dataset, "system": system, "key": key, "found": found}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
