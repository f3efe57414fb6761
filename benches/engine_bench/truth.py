"""What exhaustive float scoring finds, and how much of it an engine finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from engine_bench.vectors import rows_between
from lsr.sparse import SparseBatch

TOLERANCE = 1e-5


# Documents that are scored at once: memory doesn't grow with all of them.
PART = 500_000


class Truth:
    """Scores of float16 document weights with float32 query weights, summed in float64."""

    def __init__(
        self,
        documents: SparseBatch,
        queries: SparseBatch,
        k: int,
        allowed: NDArray[np.uint8] | None = None,
    ) -> None:
        self._documents = documents
        self._queries = queries
        # The best scores so far of each query, and how many documents score at all.
        best: list[NDArray[np.float64]] = [np.zeros(0) for _ in queries]
        found = np.zeros(len(queries), np.int64)
        for start in range(0, len(documents), PART):
            columns = _columns(rows_between(documents, start, min(start + PART, len(documents))))
            for row, query in enumerate(queries):
                scores = columns[:, query.indices] @ query.values.astype(np.float64)
                if allowed is not None:
                    scores[allowed[start : start + PART] == 0] = 0
                found[row] += int(np.count_nonzero(scores > 0))
                best[row] = np.sort(np.concatenate([best[row], _largest(scores, k)]))[-k:]
        self.wanted = np.minimum(k, found)
        self.least = np.array(
            [
                scores[-wanted] if wanted else 0
                for scores, wanted in zip(best, self.wanted, strict=True)
            ]
        )

    def recall(self, rankings: Sequence[Sequence[int]]) -> float:
        """Mean share of the k best that these rankings, of the first queries, hold.

        Any document whose true score reaches the k-th best counts, so ties cost nothing.
        """
        shares = []
        for row, ranking in enumerate(rankings):
            if not self.wanted[row]:
                continue
            scores = self._scores(row, np.unique(np.asarray(ranking, dtype=np.int64)))
            good = np.count_nonzero(scores >= self.least[row] * (1 - TOLERANCE))
            shares.append(min(good, self.wanted[row]) / self.wanted[row])
        return float(np.mean(shares)) if shares else 1.0

    def _scores(self, row: int, documents: NDArray[np.int64]) -> NDArray[np.float64]:
        query = self._queries[row]
        scores = np.zeros(len(documents))
        for place, document in enumerate(documents):
            held = self._documents[int(document)]
            at = np.minimum(np.searchsorted(query.indices, held.indices), len(query.indices) - 1)
            weights = np.where(query.indices[at] == held.indices, query.values[at], 0)
            scores[place] = weights @ _stored(held.values)
        return scores


def _stored(weights: NDArray[np.float32]) -> NDArray[np.float64]:
    return weights.astype(np.float16).astype(np.float64)


def _columns(documents: SparseBatch) -> scipy.sparse.csc_array:
    shape = (len(documents), documents.vocabulary_size)
    rows = (_stored(documents.values), documents.indices, documents.indptr)
    return scipy.sparse.csr_array(rows, shape=shape).tocsc()


def _largest(scores: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    return scores if len(scores) <= count else np.partition(scores, -count)[-count:]
