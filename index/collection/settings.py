"""Settings of a store: names with values, each with its checksum."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from index.collection.schema import row_checksum
from index.collection.storage_errors import read_error
from lsr.errors import CorruptionError


def write_settings(connection: sqlite3.Connection, settings: Mapping[str, int | str]) -> None:
    """Change settings, or add them."""
    connection.executemany(
        "INSERT OR REPLACE INTO settings VALUES (?, ?, ?)",
        [(name, value, row_checksum(name, value)) for name, value in settings.items()],
    )


def read_setting(connection: sqlite3.Connection, path: Path, name: str, absent: Any = None) -> Any:
    """The value of a setting of the store at a path; ``absent`` where it was never written.

    Raises:
        CorruptionError: it is damaged, or was never written and ``absent`` is None.
    """
    try:
        row = connection.execute(
            "SELECT value, checksum FROM settings WHERE name = ?", (name,)
        ).fetchone()
    except sqlite3.Error as error:
        raise read_error(path, error) from error
    if row is None and absent is not None:
        return absent
    if row is None or row[1] != row_checksum(name, row[0]):
        raise CorruptionError(
            f"the setting {name!r} of the collection {path.parent} is damaged; restore a snapshot"
        )
    return row[0]
