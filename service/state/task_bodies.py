"""Bodies of requests that a task is to do: acknowledged, and so on disk."""

from __future__ import annotations

import sqlite3

from lsr.errors import NotFoundError, OverloadedError
from service.state.database import StateDatabase

# Named for those that there were first.
SCHEMA = "CREATE TABLE IF NOT EXISTS bulk_bodies (task TEXT PRIMARY KEY, body BLOB NOT NULL)"
MOST_BYTES = 256 << 20
"""Of all bodies that wait together."""
# Those whose task waits no more.
FORGET = (
    "DELETE FROM bulk_bodies WHERE task NOT IN "
    "(SELECT id FROM tasks WHERE status IN ('enqueued', 'processing'))"
)


class TaskBodies:
    """The bodies, by the ids of their tasks, which the state has too."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state
        state.define(SCHEMA)

    def keep(self, connection: sqlite3.Connection, task: str, body: bytes | bytearray) -> None:
        """Keep the body of a task, in the transaction that asks for the task.

        Raises:
            OverloadedError: those that wait hold as many bytes as they may.
        """
        connection.execute(FORGET)
        (held,) = connection.execute("SELECT total(length(body)) FROM bulk_bodies").fetchone()
        if held + len(body) > MOST_BYTES:
            message = "as many bytes of requests wait as may; try again when their tasks are done"
            raise OverloadedError(message)
        connection.execute("INSERT INTO bulk_bodies VALUES (?, ?)", (task, body))

    def __getitem__(self, task: str) -> bytes:
        rows = self._state.rows("SELECT body FROM bulk_bodies WHERE task = ?", (task,))
        if not rows:
            raise NotFoundError(f"what the task {task!r} was sent is not there any more")
        return bytes(rows[0][0])

    def tidy(self) -> None:
        """Forget the bodies of tasks that have ended."""
        with self._state.writing() as connection:
            connection.execute(FORGET)
