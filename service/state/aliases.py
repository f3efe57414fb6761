"""Other names of indexes, which move from one index to another at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping

from service.state.database import StateDatabase

SCHEMA = "CREATE TABLE IF NOT EXISTS aliases (name TEXT PRIMARY KEY, target TEXT NOT NULL)"


class Aliases(Mapping[str, str]):
    """The index of each alias, as of the last committed change of any process."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state
        state.define(SCHEMA)
        self._known: dict[str, str] = {}
        self._changes = 0
        self._as_of = -1, -1

    def __getitem__(self, name: str) -> str:
        return self._current()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())

    def of(self, index: str) -> list[str]:
        """The aliases of an index, sorted."""
        return sorted(name for name, target in self._current().items() if target == index)

    def change(
        self, connection: sqlite3.Connection, changes: Mapping[str, str | None]
    ) -> dict[str, str]:
        """Point aliases to indexes, or remove those of None; in a transaction of the state.

        Returns:
            All aliases, once the transaction is committed.
        """
        self._changes += 1
        for name, target in changes.items():
            if target is None:
                connection.execute("DELETE FROM aliases WHERE name = ?", (name,))
            else:
                connection.execute("INSERT OR REPLACE INTO aliases VALUES (?, ?)", (name, target))
        return dict(connection.execute("SELECT name, target FROM aliases ORDER BY name"))

    def remove_of(self, connection: sqlite3.Connection, index: str) -> None:
        """Remove the aliases of an index; in a transaction of the state."""
        self._changes += 1
        connection.execute("DELETE FROM aliases WHERE target = ?", (index,))

    def _current(self) -> dict[str, str]:
        as_of = self._state.version(), self._changes
        if as_of != self._as_of:
            rows = self._state.rows("SELECT name, target FROM aliases")
            self._known, self._as_of = {row["name"]: row["target"] for row in rows}, as_of
        return self._known
