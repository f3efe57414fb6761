"""Which documents were split into passages, and where each passage stands in its document.

A document has one number, and so has each row of its vectors: the first passage that of the
document, the others those after it. What was not split has no row in this table.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.collection.database import Database
from index.collection.metadata import in_lists
from index.collection.schema import row_checksum
from lsr.corpus.passages import Passage
from lsr.errors import CorruptionError

# Whether long documents are split: those that an encoder doesn't read to the end, or none.
AUTO, OFF = "auto", "off"
log = logging.getLogger(__name__)


class PassageRow(NamedTuple):
    """A row of the table: the ``size`` passages of a document, as JSON."""

    sequence: int
    size: int
    places: bytes
    checksum: bytes

    def is_sound(self) -> bool:
        """Whether it is as it was written, and there may be as many passages as it says."""
        try:
            places = self.places.decode()
            whole = self.checksum == _checksum(self.sequence, self.size, places)
        except (AttributeError, UnicodeDecodeError):
            return False
        return whole and type(self.size) is int and 2 <= self.size <= len(places)

    def passages(self) -> list[Passage] | None:
        """The passages of a sound row, in order; None where what was written is no such thing."""
        try:
            found = json.loads(self.places)
            passages = [Passage(*place) for place in found]
        except (ValueError, TypeError, RecursionError):
            return None
        return passages if len(passages) == self.size and all(map(_possible, passages)) else None


class PassageTable:
    """The passages of a store; reads give what the thread's transaction sees."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, rows: Iterable[tuple[int, Sequence[Passage]]]) -> None:
        """Write the passages of documents, by sequence number."""
        self._database.connection.executemany(
            "INSERT INTO passages VALUES (?, ?, ?, ?)",
            (
                (number, len(passages), places, _checksum(number, len(passages), places))
                for number, passages in rows
                for places in [json.dumps([_place(passage) for passage in passages])]
            ),
        )

    def remove(self, sequence: Iterable[int]) -> None:
        """Forget how some documents were split."""
        execute = self._database.connection.executemany
        execute("DELETE FROM passages WHERE sequence = ?", [(number,) for number in sequence])

    def count(self) -> tuple[int, int]:
        """How many documents are split, and the passages of these."""
        query = "SELECT COUNT(*), IFNULL(SUM(size), 0) FROM passages"
        documents, passages = self._database.rows(query)[0]
        return int(documents), int(passages)

    def of(self, sequence: Sequence[int]) -> dict[int, list[Passage]]:
        """The passages of those of some documents that are split; damaged ones are logged."""
        found = {}
        for row in self._rows_of(sequence):
            passages = row.passages() if row.is_sound() else None
            if passages is not None:
                found[row.sequence] = passages
            else:
                log.error("%s", self._damage(row.sequence))
        return found

    def sizes(self, sequence: Sequence[int]) -> dict[int, int]:
        """Passages of each of some documents: 1 of one that is not split, 0 of a damaged one."""
        sizes = {row.sequence: row.size if row.is_sound() else 0 for row in self._rows_of(sequence)}
        return dict.fromkeys(sequence, 1) | sizes

    def row_numbers(
        self, documents: NDArray[np.int64], after: int, until: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """Numbers of the rows of vectors of all documents ``after < sequence <= until``.

        int64 (n,) twice, ascending: the numbers, and for each that of its document, or None where
        no document is split.

        Raises:
            CorruptionError: the passages of one are damaged.
        """
        split = {}
        condition = "sequence > ? AND sequence <= ?"
        for row in self._read(condition, (after, until)):
            if not row.is_sound():
                raise CorruptionError(self._damage(row.sequence))
            split[row.sequence] = row.size
        if not split:
            return documents, None
        counts = np.ones(len(documents), dtype=np.int64)
        counts[np.isin(documents, [*split])] = [*split.values()]
        owners = np.repeat(documents, counts)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        return owners + np.arange(len(owners)) - before, owners

    def damaged(self, live: Iterable[int]) -> tuple[list[int], list[int]]:
        """Live documents whose passages are damaged, and numbers of passages without a document."""
        there = set(live)
        rows = list(self._read("TRUE", ()))
        damaged = [
            row.sequence
            for row in rows
            if row.sequence in there and not (row.is_sound() and row.passages())
        ]
        return damaged, [row.sequence for row in rows if row.sequence not in there]

    def _rows_of(self, sequence: Sequence[int]) -> Iterator[PassageRow]:
        for marks, part in in_lists(sequence):
            yield from self._read(f"sequence IN {marks}", part)

    def _read(self, condition: str, parameters: Sequence[object]) -> Iterator[PassageRow]:
        rows = passage_rows(self._database.connection, condition, parameters)
        return self._database.read(rows)

    def _damage(self, sequence: int) -> str:
        return (
            f"the passages of the document number {sequence} are damaged in the store "
            f"{self._database.path}; index the document again, or restore a snapshot"
        )


def passage_rows(
    connection: sqlite3.Connection, condition: str, parameters: Sequence[object] = ()
) -> Iterator[PassageRow]:
    """The rows that satisfy a condition."""
    rows = connection.execute(
        "SELECT sequence, size, CAST(places AS BLOB), checksum FROM passages "  # noqa: S608
        f"WHERE {condition} ORDER BY sequence",
        parameters,
    )
    for row in rows:
        yield PassageRow(*row)


def row_numbers(connection: sqlite3.Connection, documents: Iterable[int]) -> list[int]:
    """Numbers of the rows of vectors of documents; of those with damaged passages, the first."""
    sizes = {row.sequence: row.size for row in passage_rows(connection, "TRUE") if row.is_sound()}
    return [row for number in documents for row in range(number, number + sizes.get(number, 1))]


def _possible(passage: Passage) -> bool:
    start, end, page = passage.start, passage.end, passage.page
    return (
        type(start) is int
        and type(end) is int
        and 0 <= start <= end
        and isinstance(passage.heading, str)
        and (page is None or type(page) is int)
    )


def _place(passage: Passage) -> list[object]:
    return [passage.start, passage.end, passage.heading, passage.page]


def _checksum(sequence: int, size: int, places: str) -> bytes:
    return row_checksum("passages", sequence, size, places)
