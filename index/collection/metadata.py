"""The table of metadata values beside the documents, and filters over it in SQL.

A row says that the document of a sequence number has a value under a key; ``index.filters.tree``
says how keys and values are read off metadata. The primary key covers every query, so that SQLite
answers a condition from one contiguous part of one B-tree.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from index.filters.tree import (
    LONGEST_KEY,
    And,
    Condition,
    Equals,
    Exists,
    Filter,
    In,
    Kind,
    Not,
    Or,
    Range,
    Scalar,
    check_size,
)

VARIABLES = 500  # in one statement; SQLite may allow no more than 999
Row = tuple[str, Kind, str | int | float, int]
T = TypeVar("T")


def append_metadata(
    connection: sqlite3.Connection, documents: Iterable[tuple[int, Mapping[str, Any]]]
) -> None:
    """Store the values of each sequence number's metadata."""
    rows = list(metadata_rows(documents))
    connection.executemany("INSERT INTO metadata VALUES (?, ?, ?, ?)", rows)
    _tally(connection, rows, 1)


def remove_metadata(
    connection: sqlite3.Connection, documents: Iterable[tuple[int, Mapping[str, Any]]]
) -> None:
    """Take out what ``append_metadata`` stored of the same metadata."""
    _remove(connection, list(metadata_rows(documents)))


def remove_unread_metadata(connection: sqlite3.Connection, sequence: Iterable[int]) -> None:
    """Take out what is stored of sequence numbers whose metadata can't be read any more."""
    _remove(connection, rows_of(connection, sequence))


def rebuild_metadata(
    connection: sqlite3.Connection,
    documents: Iterable[tuple[int, Mapping[str, Any]]],
    kept: Iterable[Row] = (),
) -> None:
    """Make the table anew, of documents, and of rows of those whose own metadata can't be read."""
    rows = list(kept)
    connection.execute("DELETE FROM metadata")
    connection.execute("DELETE FROM tallies")
    connection.executemany("INSERT INTO metadata VALUES (?, ?, ?, ?)", rows)
    _tally(connection, rows, 1)
    append_metadata(connection, documents)


def rows_of(connection: sqlite3.Connection, sequence: Iterable[int]) -> list[Row]:
    """What the table has of some sequence numbers, as far as it can be read."""
    found: list[Row] = []
    for marks, part in in_lists(list(sequence)):
        query = f"SELECT key, kind, value, sequence FROM metadata WHERE sequence IN {marks}"  # noqa: S608
        with suppress(sqlite3.DatabaseError):
            found.extend(connection.execute(query, part))
    return found


def _remove(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    connection.executemany(
        "DELETE FROM metadata WHERE key = ? AND kind = ? AND value = ? AND sequence = ?", rows
    )
    _tally(connection, rows, -1)


def _tally(connection: sqlite3.Connection, rows: Iterable[Row], sign: int) -> None:
    """Add rows to the tallies of their keys, or take them off."""
    changes: dict[str, list[int]] = {}
    for row in rows:
        change = changes.setdefault(row[0], [0, 0])
        change[0] += sign
        change[1] += sign * _mark(*row[1:])
    connection.executemany(
        "INSERT INTO tallies VALUES (?, ?, ?) ON CONFLICT (key) "
        "DO UPDATE SET rows = rows + excluded.rows, total = total + excluded.total",
        ((key, *change) for key, change in changes.items()),
    )


def _mark(kind: int, value: str | int | float, sequence: int) -> int:
    """A row's share of the tally of its key: 32 bits, so that 2^31 rows add up to no overflow."""
    # 0, 0.0 and -0.0 are one value to SQLite.
    return crc32(f"{int(kind)} {value or 0!r} {sequence}".encode())


def has_sound_values(connection: sqlite3.Connection, key: str) -> bool:
    """Whether the rows of a key are those that were written."""
    try:
        rows = connection.execute(
            "SELECT kind, value, sequence FROM metadata WHERE key = ?", (key,)
        ).fetchall()
    except sqlite3.OperationalError:
        # As SQLite has it, text that is not valid UTF-8.
        return False
    tally = connection.execute("SELECT rows, total FROM tallies WHERE key = ?", (key,)).fetchone()
    try:
        return (tally or (0, 0)) == (len(rows), sum(_mark(*row) for row in rows))
    except (TypeError, ValueError):
        return False


def keys_of(wanted: Filter) -> set[str]:
    """The keys that a filter names."""
    if isinstance(wanted, Not):
        return keys_of(wanted.part)
    if isinstance(wanted, And | Or):
        return set().union(*map(keys_of, wanted.parts))
    return {wanted.key}


def matching(
    connection: sqlite3.Connection, wanted: Filter, sequence: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which documents a filter lets pass.

    Args:
        connection: to the store.
        wanted: the filter.
        sequence: int64 (n,) sequence numbers; those that are not live have no values.

    Returns:
        bool (n,).

    Raises:
        InputError: the filter is too deep or too large.
    """
    check_size(wanted)
    known: dict[Condition, NDArray[np.bool_]] = {}

    def holds(part: Filter) -> NDArray[np.bool_]:
        if isinstance(part, Not):
            return ~holds(part.part)
        if isinstance(part, And):
            return reduce(np.logical_and, map(holds, part.parts))
        if isinstance(part, Or):
            return reduce(np.logical_or, map(holds, part.parts))
        if part not in known:
            known[part] = np.isin(sequence, _sequences(connection, part, sequence))
        return known[part]

    return holds(wanted) if len(sequence) else np.zeros(0, np.bool_)


def metadata_rows(documents: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[Row]:
    """The rows of the table for each sequence number's metadata."""
    for number, metadata in documents:
        for key, (kind, value) in metadata_values(metadata):
            yield key, kind, value, number


def metadata_values(metadata: Mapping[str, Any]) -> set[tuple[str, Scalar]]:
    """Every key and value of a document's metadata.

    Keys of more than LONGEST_KEY characters are left out: no filter can name them.
    """
    return set(_values("", metadata))


def _values(key: str, value: Any) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, list | tuple):
        for element in value:
            yield from _values(key, element)
    elif isinstance(value, Mapping):
        if key:
            yield key, Scalar(Kind.OBJECT, 0)
        for name, member in value.items():
            inner = f"{key}.{name}" if key else str(name)
            if 0 < len(inner) <= LONGEST_KEY:
                yield from _values(inner, member)
    elif (scalar := Scalar.of(value)) is not None:
        yield key, scalar


def _sequences(
    connection: sqlite3.Connection, condition: Condition, sequence: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Sequence numbers between the least and the largest of some that satisfy a condition.

    They come as one comma-separated text: rows would cost five times as much.
    """
    parts = []
    ends = (int(sequence.min()), int(sequence.max()))
    for where, values in _compile(condition):
        (text,) = connection.execute(
            "SELECT group_concat(sequence) FROM metadata "  # noqa: S608
            f"WHERE key = ? AND {where} AND sequence BETWEEN ? AND ?",
            (condition.key, *values, *ends),
        ).fetchone()
        if text:
            parts.append(np.fromstring(text, dtype=np.int64, sep=","))
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def in_lists(values: Sequence[T]) -> Iterator[tuple[str, Sequence[T]]]:
    """Values in parts that one statement takes, each after the list of marks for its IN."""
    for start in range(0, len(values), VARIABLES):
        part = values[start : start + VARIABLES]
        yield f"({','.join('?' * len(part))})", part


def _compile(condition: Condition) -> Iterator[tuple[str, list[Any]]]:
    """SQL conditions, any of which must hold, with their parameters."""
    if isinstance(condition, Exists):
        yield "TRUE", []
    elif isinstance(condition, Equals):
        yield "kind = ? AND value = ?", [*condition.value]
    elif isinstance(condition, In):
        for kind in Kind:
            values = [value.value for value in condition.values if value.kind == kind]
            for marks, part in in_lists(values):
                yield f"kind = ? AND value IN {marks}", [kind, *part]
    else:
        yield _range(condition)


def _range(condition: Range) -> tuple[str, list[Any]]:
    where, values = "kind = ?", list[Any]([condition.kind])
    if condition.low is not None:
        where += f" AND value {'>=' if condition.low_included else '>'} ?"
        values.append(condition.low.value)
    if condition.high is not None:
        where += f" AND value {'<=' if condition.high_included else '<'} ?"
        values.append(condition.high.value)
    return where, values
