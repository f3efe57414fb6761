"""From rows to columns and back, with more entries than memory holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.vectors.working_files import WorkingFiles

ENTRIES_AT_A_TIME = 1 << 20
NAMES = ("rows", "columns", "values")


class Entries(NamedTuple):
    """Entries of a sparse matrix, three int32 arrays of one length."""

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    values: NDArray[np.int32]

    def by_row(self) -> Entries:
        """The same, rows ascending, and otherwise in the order they have."""
        order = np.argsort(self.rows, kind="stable")
        return Entries(self.rows[order], self.columns[order], self.values[order])


class Transposition:
    """Takes entries in any order and gives them back by rows, by an external merge sort.

    It holds a few times ``at_a_time`` entries, or those of the longest row, in memory.
    """

    def __init__(self, files: WorkingFiles, at_a_time: int = ENTRIES_AT_A_TIME) -> None:
        self._files = files
        self._at_a_time = at_a_time
        self._buffer: list[Entries] = []
        self._buffered = 0
        self._runs: list[int] = [0]

    def add(
        self, rows: NDArray[np.int32], columns: NDArray[np.int32], values: NDArray[np.int32]
    ) -> None:
        """Add entries; each row's come back in the order in which they are added."""
        self._buffer.append(Entries(rows, columns, values))
        self._buffered += len(rows)
        if self._buffered >= self._at_a_time:
            self._spill()

    def groups(self) -> Iterator[Entries]:
        """All entries, rows ascending; those of one row are never parted."""
        self._spill()
        places, ends = self._runs[:-1], self._runs[1:]
        while any(place < end for place, end in zip(places, ends, strict=True)):
            last = self._last_row(places, ends)
            parts = [self._until(*run, last) for run in zip(places, ends, strict=True)]
            places = [place + len(part.rows) for place, part in zip(places, parts, strict=True)]
            yield Entries(*map(np.concatenate, zip(*parts, strict=True))).by_row()

    def _last_row(self, places: list[int], ends: list[int]) -> int:
        """A row that ends a group: each run has but its share of entries before it, or it is the
        first row after the last group's."""
        share = max(1, self._at_a_time // len(places))
        runs = [run for run in zip(places, ends, strict=True) if run[0] < run[1]]
        rows = [self._row(place + share) for place, end in runs if place + share < end]
        first = min(self._row(place) for place, _ in runs)
        return max(first + 1, min(rows, default=2**31))

    def _row(self, place: int) -> int:
        return int(self._files.read("rows", np.int32, place, 1)[0])

    def close(self) -> None:
        """Let go of the files."""
        self._files.close()

    def _until(self, begin: int, end: int, row: int) -> Entries:
        """Entries of a run from a place on that are of rows below ``row``."""
        low, high = begin, end
        while low < high:
            middle = (low + high) // 2
            if self._row(middle) < row:
                low = middle + 1
            else:
                high = middle
        return Entries(*(self._files.read(name, np.int32, begin, low - begin) for name in NAMES))

    def _spill(self) -> None:
        if not self._buffered:
            return
        run = Entries(*map(np.concatenate, zip(*self._buffer, strict=True))).by_row()
        for name, numbers in zip(NAMES, run, strict=True):
            self._files.append(name, numbers.astype(np.int32, copy=False))
        self._runs.append(self._runs[-1] + self._buffered)
        self._buffer, self._buffered = [], 0
