"""Which documents were split into passages, and where each passage stands in its document.

A document has one number, and so has each row of its vectors: the first passage that of the
document, the others those after it. What was not split has no row in this table.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from index.collection.schema import row_checksum
from lsr.corpus.passages import Passage


class PassageRow(NamedTuple):
    """A row of the table: the ``size`` passages of a document, as JSON."""

    sequence: int
    size: int
    places: bytes
    checksum: bytes

    def is_sound(self) -> bool:
        """Whether it is as it was written."""
        try:
            return self.checksum == _checksum(self.sequence, self.size, self.places.decode())
        except (AttributeError, UnicodeDecodeError):
            return False

    def passages(self) -> list[Passage]:
        """The passages, in order; of a sound row."""
        return [Passage(*place) for place in json.loads(self.places)]


def append_passages(
    connection: sqlite3.Connection, rows: Iterable[tuple[int, Sequence[Passage]]]
) -> None:
    """Write the passages of documents, by sequence number."""
    connection.executemany(
        "INSERT INTO passages VALUES (?, ?, ?, ?)",
        (
            (number, len(passages), places, _checksum(number, len(passages), places))
            for number, passages in rows
            for places in [json.dumps([_place(passage) for passage in passages])]
        ),
    )


def passage_rows(
    connection: sqlite3.Connection, condition: str, parameters: Sequence[object] = ()
) -> Iterator[PassageRow]:
    """The rows that satisfy a condition."""
    rows = connection.execute(
        "SELECT sequence, size, CAST(places AS BLOB), checksum FROM passages "  # noqa: S608
        f"WHERE {condition}",
        parameters,
    )
    for row in rows:
        yield PassageRow(*row)


def row_numbers(connection: sqlite3.Connection, documents: Iterable[int]) -> list[int]:
    """Numbers of the rows of vectors of documents; of those with damaged passages, the first."""
    sizes = {row.sequence: row.size for row in passage_rows(connection, "TRUE") if row.is_sound()}
    return [row for number in documents for row in range(number, number + sizes.get(number, 1))]


def _place(passage: Passage) -> list[object]:
    return [passage.start, passage.end, passage.heading, passage.page]


def _checksum(sequence: int, size: int, places: str) -> bytes:
    return row_checksum("passages", sequence, size, places)
