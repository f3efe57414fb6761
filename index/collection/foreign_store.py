"""A store that someone else may have made: it must be a store, and nothing more."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from index.collection.schema import APPLICATION_ID, SCHEMAS
from lsr.errors import CorruptionError

KINDS = {"TEXT": "text", "INTEGER": "integer", "BLOB": "blob"}


def check_foreign_store(path: Path) -> int:
    """Look at the file before anything is asked of it, running nothing that it says.

    It may have no table, column, index, trigger or view but those of a store, and no value of
    another type than its column's. A store of an unknown format version is left to who opens it.

    Returns:
        The format version that it says it has.

    Raises:
        CorruptionError: it is no such store, or damaged.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"):
                connection.execute(f"PRAGMA {pragma}")
            (kind,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if kind != APPLICATION_ID:
                raise CorruptionError(f"the file {path.name} is no store of a collection")
            if version in SCHEMAS:
                _check_schema(path, connection, SCHEMAS[version])
                _check_types(path, connection)
            return int(version)
    # SQLite says that it lacks memory where a row is not what its header says.
    except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:
        raise CorruptionError(
            f"the store {path.name} is damaged ({error or type(error).__name__})"
        ) from error


def _check_schema(path: Path, connection: sqlite3.Connection, schema: str) -> None:
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(schema)
        expected = _objects(model)
    found = _objects(connection)
    if found != expected:
        (what, name, *_) = min(found ^ expected, key=str)
        raise CorruptionError(
            f"the store {path.name} is not as a store is made, in its {what} {str(name)[:100]!r}"
        )


def _objects(connection: sqlite3.Connection) -> set[tuple[Any, ...]]:
    """Everything that a database has, by kind and name, with how it was made."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    return {(*row[:3], row[3] and " ".join(row[3].split())) for row in rows}


def _check_types(path: Path, connection: sqlite3.Connection) -> None:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        wrong = []
        for _, column, declared, required, *_ in connection.execute(f"PRAGMA table_info({table})"):
            if declared:
                null = "" if required else f" AND {column} IS NOT NULL"
                wrong.append(f"typeof({column}) <> '{KINDS[declared]}'{null}")
        if not wrong:
            continue
        query = f"SELECT 1 FROM {table} WHERE {' OR '.join(wrong)} LIMIT 1"  # noqa: S608
        if connection.execute(query).fetchone():
            raise CorruptionError(f"the store {path.name} has a value of a wrong type in {table}")
