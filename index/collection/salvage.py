"""A damaged store copied row by row, without the rows that SQLite can't read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from index.collection.field import Field
from index.collection.metadata import rebuild_metadata, rows_of
from index.collection.passage_table import row_numbers
from index.collection.rows import IdRow, document_rows

DOCUMENT = (
    "sequence, CAST(id AS BLOB), CAST(title AS BLOB), CAST(text AS BLOB), "
    "CAST(metadata AS BLOB), digest, id_checksum, checksum"
)
TEXT = "CAST(? AS TEXT)"


def salvage(source: sqlite3.Connection, target: sqlite3.Connection, fields: list[Field]) -> None:
    """Fill an empty store. Indexes, and the table of metadata, are made of the documents.

    Raises:
        sqlite3.DatabaseError: the settings, or which documents there are, can't be read.
    """
    target.execute("BEGIN")
    target.execute("DELETE FROM settings")
    for row in source.execute("SELECT name, value, checksum FROM settings"):
        target.execute("INSERT INTO settings VALUES (?, ?, ?)", row)
    numbers = _numbers(source, "documents", "sequence")
    passages = "SELECT sequence, size, CAST(places AS BLOB), checksum FROM passages"
    target.executemany(
        f"INSERT INTO passages VALUES (?, ?, {TEXT}, ?)",  # noqa: S608
        _readable(
            source, f"{passages} WHERE sequence = ?", _numbers(source, "passages", "sequence")
        ),
    )
    target.executemany(
        f"INSERT INTO documents VALUES (?, {TEXT}, {TEXT}, ?, {TEXT}, ?, ?, ?)",  # noqa: S608
        _documents(source, numbers),
    )
    vectors = "SELECT field, sequence, terms, weights, checksum FROM vectors"
    for field in fields:
        query = f"{vectors} WHERE sequence = ?1 AND field = ?2"
        found = _readable(source, query, row_numbers(target, numbers), field.name)
        target.executemany("INSERT INTO vectors VALUES (?, ?, ?, ?, ?)", found)
    # Those that a damaged index doesn't find, as far as the table can be read.
    others = _until_damaged(source, f"{vectors} NOT INDEXED")
    target.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?, ?, ?)", others)
    for table, key, columns in (
        ("tombstones", "number", 3),
        ("segments", "generation", 7),
        ("words", "number", 3),
    ):
        target.executemany(
            f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})",  # noqa: S608
            _readable(
                source,
                f"SELECT * FROM {table} WHERE {key} = ?",  # noqa: S608
                _numbers(source, table, key),
            ),
        )
    make_metadata(target, source)
    target.execute("COMMIT")


def make_metadata(target: sqlite3.Connection, source: sqlite3.Connection) -> None:
    """Make the table of metadata anew, of the documents of ``target`` that are sound.

    What ``source`` has of the others is kept, for a filter is to find them as before.
    """
    sound, kept = [], []
    for row in document_rows(target, "TRUE", ()):
        if row.has_sound_text():
            sound.append((row.head.sequence, json.loads(row.metadata)))
        else:
            kept.append(row.head.sequence)
    rebuild_metadata(target, sound, rows_of(source, kept))


def _documents(source: sqlite3.Connection, numbers: list[int]) -> Iterator[tuple[Any, ...]]:
    """The rows of documents; a damaged id is that of the index of ids, where this one is sound."""
    indexed: dict[int, bytes] | None = None
    for row in _readable(source, f"SELECT {DOCUMENT} FROM documents WHERE sequence = ?", numbers):  # noqa: S608
        number, identifier, *rest = row
        digest, checksum = rest[3], rest[4]
        if not IdRow(number, identifier, digest, checksum).is_sound():
            if indexed is None:
                entries = _until_damaged(
                    source,
                    "SELECT sequence, CAST(id AS BLOB) FROM documents "
                    "INDEXED BY sqlite_autoindex_documents_1 ORDER BY id",
                )
                indexed = dict(entries)
            held = indexed.get(number, identifier)
            if IdRow(number, held, digest, checksum).is_sound():
                row = (number, held, *rest)
        yield row


def _numbers(source: sqlite3.Connection, table: str, key: str) -> list[int]:
    rows = source.execute(f"SELECT {key} FROM {table} NOT INDEXED ORDER BY {key}")  # noqa: S608
    return [row[0] for row in rows]


def _until_damaged(source: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    with suppress(sqlite3.DatabaseError):
        yield from source.execute(query)


def _readable(
    source: sqlite3.Connection, query: str, numbers: list[int], *more: object
) -> Iterator[tuple[Any, ...]]:
    for number in numbers:
        try:
            row = source.execute(query, (number, *more)).fetchone()
        except sqlite3.DatabaseError:
            continue
        if row is not None:
            yield row
