"""How the SQLite file of a collection is made: under a temporary name, which it then changes."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from index.collection.commits import CommitsFile, last_commit
from index.collection.schema import APPLICATION_ID, SCHEMA, SETTINGS, VERSION
from index.collection.settings import write_settings
from lsr.errors import LsrError
from lsr.whole_folder import flush_file, flush_folder

# That has upserts, and reads a write-ahead log where it may not write.
OLDEST_SQLITE = (3, 24, 0)


def create(path: Path, settings: Mapping[str, int | str]) -> sqlite3.Connection:
    """A connection to a new, empty database under a temporary name, with further settings.

    Nothing of it is on disk for sure before ``appear``.
    """
    check_sqlite()
    connection = sqlite3.connect(path, isolation_level=None)
    # Kept in the file, so that no reader need set it.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.executescript(f"BEGIN; {SCHEMA} COMMIT;")
    write_settings(connection, {"identity": secrets.token_hex(16), **SETTINGS, **settings})
    return connection


def appear(temporary: Path, path: Path) -> None:
    """Give a database its name, and its commits file.

    Raises:
        CorruptionError: it is damaged.
    """
    with closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = WAL")
        last, _ = last_commit(connection, temporary)
    CommitsFile.of(path).create(last)
    flush_file(temporary)
    temporary.replace(path)
    flush_folder(path.parent)


def check_sqlite() -> None:
    """Raise LsrError where the SQLite that Python has is too old."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise LsrError(
            f"Python has SQLite {sqlite3.sqlite_version} and collections need {oldest} or newer; "
            "use a Python that was built with it"
        )
