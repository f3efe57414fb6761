"""In how many rows of vectors each term of a closed vocabulary occurs: what IDF is made of.

The table is a log. Each write adds a row with what it changes, in its own transaction, and now and
then all rows become one. So the sum of the rows is at any moment what the live documents have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.collection.database import Database
from index.collection.packed_text import pack_text, unpack_text
from index.collection.schema import row_checksum
from lsr.errors import CorruptionError

# Rows of the log before they become one.
LONGEST_LOG = 64
PLANES = 4  # bytes of a number


class FrequencyTable:
    """The frequencies of a store; reads give what the thread's transaction sees."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, change: NDArray[np.int64]) -> None:
        """Add to the frequency of each term, int64 (V,); while the store is written."""
        if not change.any():
            return
        if len(self) < LONGEST_LOG:
            self._append(len(self) + 1, change)
        else:
            self.replace(self.total(len(change)) + change)

    def replace(self, frequency: NDArray[np.int64]) -> None:
        """Begin the log anew with these frequencies; while the store is written."""
        self._database.connection.execute("DELETE FROM frequencies")
        self._append(1, frequency)

    def compact(self, size: int) -> None:
        """Make one row of all; while the store is written."""
        if len(self) > 1:
            self.replace(self.total(size))

    def total(self, size: int) -> NDArray[np.int64]:
        """The frequency of each of so many terms, int64 (size,).

        Raises:
            CorruptionError: a row is damaged, or missing.
        """
        total = np.zeros(size, dtype=np.int64)
        rows = self._database.rows("SELECT number, counts, checksum FROM frequencies ORDER BY 1")
        if [row[0] for row in rows] != list(range(1, len(self) + 1)):
            raise CorruptionError(self._damage())
        for number, counts, checksum in rows:
            try:
                sound = checksum == _checksum(number, counts)
                terms, changes = unpack_changes(counts)
                total[terms] += changes
            except (ValueError, IndexError, TypeError):
                sound = False
            if not sound:
                raise CorruptionError(self._damage())
        if total.min(initial=0) < 0:
            raise CorruptionError(self._damage())
        return total

    def __len__(self) -> int:
        return int(self._database.setting("frequencies"))

    def _append(self, number: int, change: NDArray[np.int64]) -> None:
        terms = np.flatnonzero(change)
        packed = pack_changes(terms, change[terms])
        self._database.connection.execute(
            "INSERT INTO frequencies VALUES (?, ?, ?)", (number, packed, _checksum(number, packed))
        )
        self._database.change({"frequencies": number})

    def _damage(self) -> str:
        return self._database.damage("table of term frequencies")


def pack_changes(terms: NDArray[np.int64], changes: NDArray[np.int64]) -> bytes:
    """The gaps between terms, ascending, and by how much each changes, int32, byte by byte."""
    numbers = np.stack([np.diff(terms, prepend=0), changes]).astype("<i4")
    planes = numbers.view(np.uint8).reshape(2, len(terms), PLANES).transpose(0, 2, 1)
    return pack_text(planes.tobytes())


def unpack_changes(counts: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Terms, ascending, and by how much each changes; raises ValueError where malformed."""
    planes = np.frombuffer(unpack_text(counts), dtype=np.uint8).reshape(2, PLANES, -1)
    gaps, changes = planes.transpose(0, 2, 1).copy().view("<i4")[:, :, 0].astype(np.int64)
    if (gaps < 0).any() or (gaps[1:] == 0).any():
        raise ValueError("the terms are not ascending")
    return np.cumsum(gaps), changes


def _checksum(number: int, counts: bytes) -> bytes:
    return row_checksum("frequencies", number, counts)
