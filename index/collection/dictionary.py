"""The terms of a collection that its encoders' vocabularies don't have: words, in numbers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from index.collection.database import Database
from index.collection.field import Field
from index.collection.metadata import in_lists
from index.collection.schema import row_checksum
from index.collection.storage_errors import read_error
from lsr.errors import CorruptionError
from lsr.sparse import SparseBatch

T = TypeVar("T")


class Dictionary:
    """The words of a store; in a field with an open vocabulary they follow its own terms.

    All but ``numbered`` only read, and give what the thread's transaction sees.

    Raises:
        CorruptionError: a word that is read is damaged.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __len__(self) -> int:
        return int(self._database.setting("words"))

    def terms(self, field: Field) -> int:
        """How many terms a sparse field has by now: the ids from 0 on."""
        return field.size + (len(self) if field.open else 0)

    def numbers(self, field: Field, words: Iterable[str]) -> dict[str, int]:
        """The term ids of those of the words that an open field has."""
        found = self._read(_numbers_of, list(words)) if field.open else {}
        return {word: field.size + number for word, number in found.items()}

    def words(self, field: Field, terms: Sequence[int]) -> dict[int, str]:
        """The words that some terms of an open field stand for; terms below its size aren't."""
        places = [term - field.size for term in terms if term >= field.size]
        found = self._read(_words_of, places) if places else {}
        return {field.size + number: word for number, word in found.items()}

    def beginning(self, field: Field, start: str) -> dict[str, int]:
        """The term ids of the words of an open field that begin with some letters."""
        found = self._read(_words_beginning, start) if field.open and start else {}
        return {word: field.size + number for word, number in found.items()}

    def all(self) -> list[str]:
        """Every word, by its number."""
        return self._read(lambda connection, _: _all_words(connection), ())

    def damaged(self) -> int:
        """How many words are damaged or missing."""
        return self._read(_damaged_words, len(self))

    def numbered(self, field: Field, batch: SparseBatch) -> SparseBatch:
        """Rows whose words have their terms, new ones being added; while the store is written."""
        if not batch.words:
            return batch
        rows, count = _with_numbers(self._database.connection, batch, field.size, len(self))
        self._database.change({"words": count})
        return rows

    def _read(self, read: Callable[[sqlite3.Connection, Any], T], wanted: Any) -> T:
        try:
            return read(self._database.connection, wanted)
        except sqlite3.Error as error:
            raise read_error(self._database.path, error) from error


def _numbers_of(connection: sqlite3.Connection, words: Sequence[str]) -> dict[str, int]:
    """The number of each of the words that is there.

    Raises:
        CorruptionError: a row is damaged.
    """
    found: dict[str, int] = {}
    for marks, part in in_lists(list(words)):
        for number, word in _rows(connection, f"WHERE word IN {marks}", part):
            found[word] = number
    return found


def _words_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """The word of each of the numbers that is there; raises as ``_numbers_of``."""
    found: dict[int, str] = {}
    for marks, part in in_lists(list(numbers)):
        found.update(_rows(connection, f"WHERE number IN {marks}", part))
    return found


def _words_beginning(connection: sqlite3.Connection, start: str) -> dict[str, int]:
    """The number of each word that begins so; raises as ``_numbers_of``."""
    # UTF-8 keeps the order of code points, and no word goes on with the largest.
    span = (start, start + "\U0010ffff")
    return {word: number for number, word in _rows(connection, "WHERE word BETWEEN ? AND ?", span)}


def _all_words(connection: sqlite3.Connection) -> list[str]:
    """Every word, by its number; raises as ``_numbers_of``."""
    words = [word for _, word in _rows(connection, "ORDER BY number", ())]
    return words


def _with_numbers(
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
    numbers = _numbers_of(connection, words)
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


def _damaged_words(connection: sqlite3.Connection, count: int) -> int:
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
