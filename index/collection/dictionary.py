"""The terms of a collection that its encoders' vocabularies don't have: words, in numbers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np

from index.collection.metadata import in_lists
from lsr.sparse import SparseBatch

SCHEMA = """
CREATE TABLE words (
    number INTEGER PRIMARY KEY,
    word TEXT NOT NULL UNIQUE
);
"""


def word_count(connection: sqlite3.Connection) -> int:
    """How many words there are, numbered from 0 on without a gap."""
    row = connection.execute("SELECT MAX(number) FROM words").fetchone()
    return 0 if row[0] is None else int(row[0]) + 1


def numbers_of(connection: sqlite3.Connection, words: Iterable[str]) -> dict[str, int]:
    """The number of each of the words that is there."""
    found: dict[str, int] = {}
    for marks, part in in_lists(list(words)):
        found.update(
            connection.execute(f"SELECT word, number FROM words WHERE word IN {marks}", part)  # noqa: S608
        )
    return found


def words_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """The word of each of the numbers that is there."""
    found: dict[int, str] = {}
    for marks, part in in_lists(list(numbers)):
        found.update(
            connection.execute(f"SELECT number, word FROM words WHERE number IN {marks}", part)  # noqa: S608
        )
    return found


def all_words(connection: sqlite3.Connection) -> list[str]:
    """Every word, by its number."""
    return [row[0] for row in connection.execute("SELECT word FROM words ORDER BY number")]


def with_numbers(connection: sqlite3.Connection, rows: SparseBatch, size: int) -> SparseBatch:
    """Rows whose words have the terms ``size`` + number; words that are not there are added.

    A number stands for its word for ever, whatever becomes of the documents that have it.

    Args:
        connection: in a transaction of the one writer.
        rows: over an open vocabulary.
        size: of its closed part.
    """
    used = np.unique(rows.indices[rows.indices >= rows.closed_size]) - rows.closed_size
    words = [rows.words[place] for place in used.tolist()]
    numbers = numbers_of(connection, words)
    first = word_count(connection)
    new = [word for word in words if word not in numbers]
    numbers.update(zip(new, range(first, first + len(new)), strict=True))
    connection.executemany(
        "INSERT INTO words (number, word) VALUES (?, ?)", ((numbers[word], word) for word in new)
    )
    ids = np.full(len(rows.words), -1, dtype=np.int64)
    ids[used] = [size + numbers[word] for word in words]
    return rows.numbered(ids.tolist(), size + first + len(new))
