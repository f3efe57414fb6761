"""Matches: the documents in a query's ranking, how many there are, and how good they must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

# More results than any collection has documents.
ALL = 2**31


class Matches(NamedTuple):
    """Documents with a score, best first: ``numbers`` int64 (n,), ``scores`` float64 (n,).

    In a sparse field those match that share a term with the query, in a dense field all that may be
    searched, in a fusion those that its rankings found. ``complete`` says that these are all of
    them.
    """

    numbers: NDArray[np.int64]
    scores: NDArray[np.float64]
    complete: bool

    @classmethod
    def of(cls, ranking: Sequence[tuple[int, float]], complete: bool) -> Matches:
        """Those of a ranking."""
        return cls(
            np.array([number for number, _ in ranking], dtype=np.int64),
            np.array([score for _, score in ranking], dtype=np.float64),
            complete,
        )

    def among(self, kept: NDArray[np.bool_]) -> Matches:
        """Those that are kept, bool (n,)."""
        return Matches(self.numbers[kept], self.scores[kept], self.complete)

    def scoring(self, least: float, fused: bool) -> Matches:
        """Those that score at least so much.

        Where others are worse, all of these were found; but in a fusion, what was found by a
        ranking decides.
        """
        kept = int(np.count_nonzero(self.scores >= least))
        complete = self.complete or (kept < len(self.numbers) and not fused)
        return Matches(self.numbers[:kept], self.scores[:kept], complete)


class Total(NamedTuple):
    """How many documents match: exactly, or at least."""

    value: int
    relation: Literal["eq", "gte"]


# What is said where nothing was counted.
UNCOUNTED = Total(0, "gte")
