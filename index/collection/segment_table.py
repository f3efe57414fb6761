"""Which segments are current: a table of the store, changed with what it says in one transaction.

Segments cover adjacent, disjoint ranges of sequence numbers, oldest first. Rows after the last of
them are the tail, which is searched from memory. A tombstone says that a sequence number is dead
although a segment, or some reader's memory, still holds it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.collection.schema import row_checksum
from index.collection.store import Store
from lsr.errors import CorruptionError

SEGMENTS = "segments"


def segment_file(folder: Path, generation: int) -> Path:
    """The file of a segment of the collection in a directory."""
    return folder / SEGMENTS / f"{generation:06d}.segment"


class SegmentEntry(NamedTuple):
    """A segment of the live rows of ``after < sequence <= last`` as of when it was built.

    ``generation`` names its file and is never used again; of ``documents`` in it, ``deleted`` have
    died since. ``digest`` is that of ``write_segment``: no other file is served as this segment.
    """

    generation: int
    after: int
    last: int
    documents: int
    deleted: int
    digest: bytes = b""

    @property
    def live(self) -> int:
        """Documents in it that live."""
        return self.documents - self.deleted


@dataclass(frozen=True)
class Current:
    """What the table says at one moment.

    ``generation`` is the newest; ``written`` the largest sequence number given; ``deletions`` the
    number of the newest tombstone. ``average_lengths`` weigh the term counts of every row, in
    segments and tail; they were taken when ``weighed`` sequence numbers had been given.
    """

    generation: int
    segments: tuple[SegmentEntry, ...]
    written: int
    deletions: int
    average_lengths: Mapping[str, float]
    weighed: int

    @property
    def base(self) -> int:
        """The last sequence number that segments cover."""
        return self.segments[-1].last if self.segments else 0

    @property
    def tail(self) -> int:
        """Rows written after the segments, dead ones included."""
        return self.written - self.base


class SegmentTable:
    """Reads and writes the table; each method within the caller's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def current(self) -> Current:
        """What is current now.

        Raises:
            CorruptionError: a row is damaged or missing.
        """
        store = self._store
        with store.reading():
            rows = store.rows(
                "SELECT generation, after, last, documents, deleted, digest, checksum "
                "FROM segments ORDER BY last"
            )
            end = 0
            entries = [SegmentEntry(*row[:-1]) for row in rows]
            for entry, row in zip(entries, rows, strict=True):
                if row[-1] != _checksum(entry) or entry.after != end:
                    raise CorruptionError(store.damage("table of segments"))
                end = entry.last
            return Current(
                int(store.setting("generation")),
                tuple(entries),
                store.written(),
                store.deletions(),
                json.loads(store.setting("average_lengths")),
                int(store.setting("weighed")),
            )

    def is_current(self, generation: int) -> bool:
        """Whether the segment of that generation is current now."""
        return any(entry.generation == generation for entry in self.current().segments)

    def dead(self, after: int, last: int) -> NDArray[np.int64]:
        """Dead sequence numbers of a range, ascending."""
        return self._sequences("sequence > ? AND sequence <= ?", after, last)

    def died(self, since: int) -> NDArray[np.int64]:
        """Sequence numbers, ascending, of the tombstones newer than number ``since``."""
        return self._sequences("number > ?", since)

    def publish(
        self, replaced: Sequence[SegmentEntry], entry: SegmentEntry, deletions: int
    ) -> None:
        """Put a segment in the place of others, or after the last.

        Tombstones of its range up to number ``deletions`` go, for it was built without these rows;
        later ones stay.
        """
        execute = self._store.connection.execute
        for old in replaced:
            execute("DELETE FROM segments WHERE generation = ?", (old.generation,))
        span = (entry.after, entry.last)
        execute(
            "DELETE FROM tombstones WHERE sequence > ? AND sequence <= ? AND number <= ?",
            (*span, deletions),
        )
        deleted = execute(
            "SELECT COUNT(*) FROM tombstones WHERE sequence > ? AND sequence <= ?", span
        ).fetchone()[0]
        entry = entry._replace(deleted=deleted)
        execute(
            "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*entry, _checksum(entry)),
        )
        self._store.change({"generation": entry.generation})

    def weigh(self, average_lengths: Mapping[str, float], weighed: int) -> None:
        """Record by which average lengths rows are weighed from now on."""
        self._store.change({"average_lengths": json.dumps(average_lengths), "weighed": weighed})

    def clear(self) -> None:
        """Forget all segments and tombstones: every live row is in the tail."""
        self._store.connection.execute("DELETE FROM segments")
        self._store.connection.execute("DELETE FROM tombstones")

    def _sequences(self, condition: str, *values: int) -> NDArray[np.int64]:
        rows = self._store.rows(
            f"SELECT number, sequence, checksum FROM tombstones WHERE {condition}",  # noqa: S608
            *values,
        )
        if any(row[2] != row_checksum(*row[:2]) for row in rows):
            raise CorruptionError(self._store.damage("table of tombstones"))
        return np.sort(np.array([row[1] for row in rows], dtype=np.int64))


def _checksum(entry: SegmentEntry) -> bytes:
    """Of all but ``deleted``, which changes with each deletion."""
    return row_checksum(*entry[:4], entry.digest)
