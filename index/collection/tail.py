"""The tail: rows newer than the last segment file, searched from memory.

It is what log-structured stores call the memtable, but derived: the store has every row already.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from index.collection.builder import Rows
from index.collection.segment import Segment
from index.engines.document_mask import DocumentMask, living
from index.engines.inverted_index import LARGEST_DOCUMENT_COUNT

# Rows that a part may hold. A tail may have more: writers may be far ahead of builds.
LARGEST_PART = LARGEST_DOCUMENT_COUNT
# A part is merged into its elder once the elder has at most so many times its rows. So there are
# few parts, and a row is inverted again only a logarithmic number of times.
RATIO = 4


@dataclass(frozen=True, eq=False)
class Part:
    """A small segment, the rows it was made of, and which of them live (None: all)."""

    rows: Rows
    segment: Segment
    alive: DocumentMask | None = None

    @cached_property
    def live(self) -> int:
        """Number of live rows."""
        return len(self.rows) if self.alive is None else self.alive.count

    def living(self) -> Rows:
        """The live rows."""
        return self.rows if self.alive is None else self.rows.select(self.alive.allowed != 0)

    def document_frequency(self, name: str) -> NDArray[np.int64]:
        """Number of live rows that hold each term of a sparse field, int64 (V,)."""
        frequency = self.segment.statistics(name).document_frequency
        if self.alive is None:
            return frequency
        dead = self.rows.sparse[name].select(self.alive.allowed == 0)
        return frequency - dead.document_frequency()


@dataclass(frozen=True, eq=False)
class Tail:
    """Parts of adjacent ranges, oldest first; every row up to ``last`` has been read."""

    parts: tuple[Part, ...] = ()
    last: int = 0

    def advance(self, new: Rows, last: int, dead: NDArray[np.int64], base: int) -> Tail:
        """The tail as of a later moment.

        Args:
            new: the live rows after ``self.last`` and ``base``, up to ``last``, at most
                ``LARGEST_PART``.
            last: the last row that has now been read.
            dead: int64, ascending, what has died since.
            base: the last row that segment files cover.
        """
        parts = [part for old in self.parts for part in _survivors(old, dead, base)]
        if len(new):
            parts.append(Part(new, new.segment(reorder=False)))
        return Tail(_merged(parts), last)


def _survivors(part: Part, dead: NDArray[np.int64], base: int) -> list[Part]:
    """The part without what is dead or covered by now; rewritten where half of it has gone."""
    sequence = part.rows.sequence
    if sequence[-1] <= base:
        return []
    covered = sequence[: np.searchsorted(sequence, base, side="right")]
    alive = living(sequence, np.concatenate([covered, dead]), part.alive)
    if alive is part.alive:
        return [part]
    left = Part(part.rows, part.segment, alive)
    if left.live == 0:
        return []
    if 2 * left.live > len(sequence):
        return [left]
    rows = left.living()
    return [Part(rows, rows.segment(reorder=False))]


def _merged(parts: list[Part]) -> tuple[Part, ...]:
    start, total = len(parts) - 1, parts[-1].live if parts else 0
    while (
        start > 0
        and parts[start - 1].live <= RATIO * total
        and parts[start - 1].live + total <= LARGEST_PART
    ):
        start -= 1
        total += parts[start].live
    if start >= len(parts) - 1:
        return tuple(parts)
    rows = Rows.concatenate([part.living() for part in parts[start:]])
    return (*parts[:start], Part(rows, rows.segment(reorder=False)))
