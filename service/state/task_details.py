"""What results of tasks hold besides their sums: large, and so apart from the list of tasks."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from lsr.errors import InputError
from service.state.database import StateDatabase

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS task_details "
    "(number INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL UNIQUE, details BLOB NOT NULL)"
)
LARGEST, MOST_BYTES = 128 << 20, 256 << 20
"""Bytes of the JSON of one task, and of what is kept of all of them, which is compressed."""
LEVEL = 1
FORGET_GONE = "DELETE FROM task_details WHERE task NOT IN (SELECT id FROM tasks)"
FORGET_OLDEST = (
    "DELETE FROM task_details WHERE number IN (SELECT number FROM (SELECT number, "
    "sum(length(details)) OVER (ORDER BY number DESC) AS held FROM task_details) WHERE held > ?)"
)


class TaskDetails:
    """The details, by the ids of their tasks; they go with these, and the oldest where all of them
    hold too much."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state
        state.define(SCHEMA)

    def keep(self, task: str, details: Mapping[str, Any]) -> None:
        """Keep the details of a task, in place of any that it had.

        Raises:
            InputError: they are too large.
        """
        body = json.dumps(details, separators=(",", ":")).encode()
        if len(body) > LARGEST:
            raise InputError(
                f"what is to be kept of the task has {len(body)} bytes; at most {LARGEST} are "
                "kept, so ask for less"
            )
        packed = zlib.compress(body, LEVEL)
        with self._state.writing() as connection:
            connection.execute("DELETE FROM task_details WHERE task = ?", (task,))
            connection.execute(
                "INSERT INTO task_details (task, details) VALUES (?, ?)", (task, packed)
            )
            connection.execute(FORGET_GONE)
            connection.execute(FORGET_OLDEST, (MOST_BYTES,))

    def of(self, task: str) -> dict[str, Any]:
        """The details of a task; empty where it has none, or none any more."""
        rows = self._state.rows("SELECT details FROM task_details WHERE task = ?", (task,))
        found: dict[str, Any] = json.loads(zlib.decompress(rows[0][0])) if rows else {}
        return found
