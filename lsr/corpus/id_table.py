"""A table of what is known of each id, for streams longer than memory."""

from __future__ import annotations

import sqlite3


class IdTable:
    """A text for each id, in a temporary file once there are many; gone when the block ends."""

    def __enter__(self) -> IdTable:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("CREATE TABLE known (id TEXT PRIMARY KEY, text) WITHOUT ROWID")
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def add(self, identifier: str, text: str) -> str | None:
        """Keep the text of a new id; returns the text of one that was there, which stays."""
        there = self.get(identifier)
        if there is None:
            self._connection.execute("INSERT INTO known VALUES (?, ?)", (identifier, text))
        return there

    def get(self, identifier: str) -> str | None:
        """The text of an id, None where it has none."""
        row = self._connection.execute(
            "SELECT text FROM known WHERE id = ?", (identifier,)
        ).fetchone()
        return None if row is None else str(row[0])
