"""The table of metadata values beside the documents, and the columns that are read from it.

A row says that the document of a sequence number has a value under a key; ``index.filters.tree``
says how keys and values are read off metadata. The primary key covers every query and is in the
order of a column's dictionary, so that SQLite gives a column from one contiguous part of a B-tree.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from index.collection.column import Column, make_columns
from index.filters.dates import instant
from index.filters.tree import LONGEST_KEY, Kind, Scalar

VARIABLES = 500  # in one statement; SQLite may allow no more than 999
Row = tuple[str, Kind, str | int | float, int]
T = TypeVar("T")
DATE = "date"
KINDS = {
    Kind.OBJECT: "object",
    Kind.BOOLEAN: "boolean",
    Kind.NUMBER: "number",
    Kind.STRING: "string",
}
# Of values of each kind, as SQLite gives them.
TYPES: dict[int, tuple[type, ...]] = {
    Kind.OBJECT: (int,),
    Kind.BOOLEAN: (int,),
    Kind.NUMBER: (int, float),
    Kind.STRING: (str,),
}


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """A metadata key: how many values of each kind documents have.

    The kinds are those of ``KINDS``, or "date" in the place of "string" where all of its strings
    are dates. A document's values count once each.
    """

    key: str
    kinds: Mapping[str, int]


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


def count_rows(connection: sqlite3.Connection) -> dict[str, int]:
    """How many rows the tally of each key has that documents have."""
    return dict(connection.execute("SELECT key, rows FROM tallies WHERE rows > 0"))


def describe_keys(connection: sqlite3.Connection) -> list[KeyDescription]:
    """Every key, by name, with the kinds of its values and how many there are of each.

    Raises:
        ValueError, KeyError, TypeError: a row is not one that ``append_metadata`` writes.
    """
    kinds: dict[str, dict[str, int]] = {}
    rows = connection.execute("SELECT key, kind, COUNT(*) FROM metadata GROUP BY key, kind")
    for key, kind, count in rows:
        name = KINDS[kind]
        if kind == Kind.STRING and _are_dates(connection, key):
            name = DATE
        kinds.setdefault(key, {})[name] = count
    return [KeyDescription(key, held) for key, held in sorted(kinds.items())]


def _are_dates(connection: sqlite3.Connection, key: str) -> bool:
    """Whether all strings under a key are dates; most are told by the first and the last."""
    values = "SELECT value FROM metadata WHERE key = ? AND kind = ?"
    for order in ("ASC", "DESC"):
        query = f"{values} ORDER BY value {order} LIMIT 1"
        if instant(connection.execute(query, (key, Kind.STRING)).fetchone()[0]) is None:
            return False
    distinct = connection.execute(f"{values} GROUP BY value", (key, Kind.STRING))
    return all(instant(value) is not None for (value,) in distinct)


def read_columns(
    connection: sqlite3.Connection, key: str, segments: Sequence[NDArray[np.int64]]
) -> list[Column]:
    """The column of a key in each segment, of which ``make_columns`` takes the same.

    Sequence numbers that are not live have no values. The numbers of a value come as one
    comma-separated text: rows would cost several times as much.

    Raises:
        ValueError: a row is not one that ``append_metadata`` writes.
    """
    ends = _ends(segments)
    if ends is None:
        return make_columns((), (), (), np.empty(0, np.int64), segments)
    rows = connection.execute(
        "SELECT kind, value, COUNT(*), group_concat(sequence) FROM metadata "
        "WHERE key = ? AND sequence BETWEEN ? AND ? GROUP BY kind, value ORDER BY kind, value",
        (key, *ends),
    ).fetchall()
    numbers = np.fromstring(",".join(row[3] for row in rows), dtype=np.int64, sep=",")
    kinds, values, counts = ([row[place] for row in rows] for place in range(3))
    whole = all(type(value) in TYPES.get(kind, ()) for kind, value, *_ in rows)
    if not whole or len(numbers) != sum(counts):
        raise ValueError(key)
    return make_columns(kinds, values, counts, numbers, segments)


def columns_of_documents(
    documents: Iterable[tuple[int, Mapping[str, Any]]],
    keys: Iterable[str],
    segments: Sequence[NDArray[np.int64]],
) -> dict[str, list[Column]]:
    """The same columns of some keys, of documents' metadata in place of the table."""
    found: dict[str, dict[Scalar, list[int]]] = {key: {} for key in keys}
    for key, kind, value, number in metadata_rows(documents):
        if key in found:
            found[key].setdefault(Scalar(kind, value), []).append(number)
    columns = {}
    for key, held in found.items():
        scalars = sorted(held)
        numbers = [number for scalar in scalars for number in held[scalar]]
        columns[key] = make_columns(
            [scalar.kind for scalar in scalars],
            [scalar.value for scalar in scalars],
            [len(held[scalar]) for scalar in scalars],
            np.array(numbers, dtype=np.int64),
            segments,
        )
    return columns


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


def _ends(segments: Sequence[NDArray[np.int64]]) -> tuple[int, int] | None:
    """The least and the largest of all numbers; None: there are none."""
    there = [(int(part[0]), int(part[-1])) for part in segments if len(part)]
    return (min(first for first, _ in there), max(last for _, last in there)) if there else None


def in_lists(values: Sequence[T]) -> Iterator[tuple[str, Sequence[T]]]:
    """Values in parts that one statement takes, each after the list of marks for its IN."""
    for start in range(0, len(values), VARIABLES):
        part = values[start : start + VARIABLES]
        yield f"({','.join('?' * len(part))})", part
