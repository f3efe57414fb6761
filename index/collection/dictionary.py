"""The terms of a collection that its encoders' vocabularies don't have: words, in numbers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from index.collection.metadata import in_lists
from index.collection.schema import row_checksum
from lsr.errors import CorruptionError
from lsr.sparse import SparseBatch


def numbers_of(connection: sqlite3.Connection, words: Sequence[str]) -> dict[str, int]:
    """The number of each of the words that is there.

    Raises:
        CorruptionError: a row is damaged.
    """
    found: dict[str, int] = {}
    for marks, part in in_lists(list(words)):
        for number, word in _rows(connection, f"WHERE word IN {marks}", part):
            found[word] = number
    return found


def words_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """The word of each of the numbers that is there; raises as ``numbers_of``."""
    found: dict[int, str] = {}
    for marks, part in in_lists(list(numbers)):
        found.update(_rows(connection, f"WHERE number IN {marks}", part))
    return found


def all_words(connection: sqlite3.Connection) -> list[str]:
    """Every word, by its number; raises as ``numbers_of``."""
    words = [word for _, word in _rows(connection, "ORDER BY number", ())]
    return words


def with_numbers(
    connection: sqlite3.Connection, rows: SparseBatch, size: int, count: int
) -> tuple[SparseBatch, int]:
    """Rows whose words have the terms ``size`` + number; words that are not there are added.

    A number stands for its word for ever, whatever becomes of the documents that have it.

    Args:
        connection: in a transaction of the one writer.
        rows: over an open vocabulary.
        size: of its closed part.
        count: how many words there are, numbered from 0 on.

    Returns:
        The rows, and how many words there are now.
    """
    used = np.unique(rows.indices[rows.indices >= rows.closed_size]) - rows.closed_size
    words = [rows.words[place] for place in used.tolist()]
    numbers = numbers_of(connection, words)
    new = [word for word in words if word not in numbers]
    numbers.update(zip(new, range(count, count + len(new)), strict=True))
    connection.executemany(
        "INSERT INTO words VALUES (?, ?, ?)",
        ((numbers[word], word, _checksum(numbers[word], word)) for word in new),
    )
    ids = np.full(len(rows.words), -1, dtype=np.int64)
    ids[used] = [size + numbers[word] for word in words]
    count += len(new)
    return rows.numbered(ids.tolist(), size + count), count


def damaged_words(connection: sqlite3.Connection, count: int) -> int:
    """How many of the words that there should be are missing or damaged."""
    rows = connection.execute("SELECT number, CAST(word AS BLOB), checksum FROM words")
    sound = {number for number, word, checksum in rows if _is_sound(number, word, checksum)}
    return len(set(range(count)) - sound)


def _rows(
    connection: sqlite3.Connection, condition: str, parameters: Iterable[object]
) -> Iterator[tuple[int, str]]:
    rows = connection.execute(
        f"SELECT number, CAST(word AS BLOB), checksum FROM words {condition}",  # noqa: S608
        tuple(parameters),
    )
    for number, word, checksum in rows:
        if not _is_sound(number, word, checksum):
            raise CorruptionError(
                f"the word number {number} of the collection's dictionary is damaged; restore a "
                "snapshot"
            )
        yield number, word.decode()


def _is_sound(number: object, word: object, checksum: object) -> bool:
    try:
        return isinstance(word, bytes) and checksum == _checksum(number, word.decode())
    except UnicodeDecodeError:
        return False


def _checksum(number: object, word: str) -> bytes:
    return row_checksum("word", int(str(number)), word)
