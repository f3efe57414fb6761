"""What the engine takes: every query over every shard of the documents, cut into some numbers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from engine_bench.vectors import SEED, take
from numpy.typing import NDArray
from scipy.optimize import nnls

from index.engines.inverted_index import InvertedIndex
from index.engines.native import NativeSearcher
from lsr.sparse import SparseBatch

HITS = 10
# Of growth: from about its square root to all of it.
POWERS = 0.5, 1.0, 51


@dataclass(frozen=True)
class Measured:
    """Milliseconds of queries over shards of about ``documents`` documents each.

    ``ms`` float64 (shards, queries): for each the median over rounds. ``bytes`` is what the shards
    take in memory together.
    """

    documents: float
    ms: NDArray[np.float64]
    bytes: int

    @property
    def mean_ms(self) -> float:
        """Of a query over one shard."""
        return float(self.ms.mean())


def measure(
    documents: SparseBatch, queries: SparseBatch, shards: Sequence[int], rounds: int
) -> list[Measured]:
    """Cut the documents at random into each number of shards, and time every query over each shard.

    One thread, one query at a time, exact, ten hits; processor time. Queries differ within a round,
    and each round is of all of them, after one that isn't timed.
    """
    shuffled = np.random.default_rng(SEED).permutation(len(documents))
    single = [take(queries, np.array([number])) for number in range(len(queries))]
    found = []
    for count in shards:
        parts, size = [], 0
        for chosen in np.array_split(shuffled, count):
            index = InvertedIndex.build(take(documents, np.sort(chosen)))
            size += index.nbytes
            parts.append(_timed(NativeSearcher(index, threads=1), single, rounds))
        found.append(Measured(len(documents) / count, np.array(parts), size))
    return found


def _timed(
    searcher: NativeSearcher, queries: Sequence[SparseBatch], rounds: int
) -> NDArray[np.float64]:
    """Milliseconds of a processor for each query, (queries,): what else runs doesn't count."""
    took = np.empty((rounds + 1, len(queries)))
    for each in took:
        for place, query in enumerate(queries):
            started = time.thread_time()
            searcher.search(query, HITS)
            each[place] = 1000 * (time.thread_time() - started)
    return np.median(took[1:], axis=0)


@dataclass(frozen=True)
class Growth:
    """Mean milliseconds of a query over n documents: ``fixed + at_million * (n / 10**6) ** power``.

    What is fixed is the call: it is most of what a search over some thousand documents takes.
    """

    fixed: float
    at_million: float
    power: float

    @classmethod
    def of(cls, measured: Sequence[Measured]) -> Growth:
        """That which is nearest to what was measured, by the squares of relative errors."""
        sizes = np.array([each.documents / 1e6 for each in measured])
        means = np.array([each.mean_ms for each in measured])
        best, nearest = cls(0.0, 0.0, 1.0), np.inf
        for power in np.linspace(*POWERS):
            terms = np.stack([np.ones_like(sizes), sizes**power], axis=1)
            found, _ = nnls(terms / means[:, None], np.ones_like(means))
            error = float(np.square(terms @ found / means - 1).sum())
            if error < nearest:
                best, nearest = cls(float(found[0]), float(found[1]), float(power)), error
        return best

    def mean_ms(self, documents: float) -> float:
        """Of a query over so many documents; beyond the largest that was measured, a guess."""
        return self.fixed + self.at_million * (documents / 1e6) ** self.power
