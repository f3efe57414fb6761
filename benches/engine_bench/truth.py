"""What exhaustive float scoring finds, and how much of it an engine finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from lsr.sparse import SparseBatch

TOLERANCE = 1e-5


class Truth:
    """Scores of float16 document weights with float32 query weights, summed in float64."""

    def __init__(
        self,
        documents: SparseBatch,
        queries: SparseBatch,
        k: int,
        allowed: NDArray[np.uint8] | None = None,
    ) -> None:
        weights = documents.values.astype(np.float16).astype(np.float64)
        shape = (len(documents), documents.vocabulary_size)
        self._documents = scipy.sparse.csr_array(
            (weights, documents.indices, documents.indptr), shape=shape
        )
        self._queries = queries
        columns = self._documents.tocsc()
        self.least = np.zeros(len(queries))
        self.wanted = np.zeros(len(queries), np.int64)
        for row, query in enumerate(queries):
            scores = columns[:, query.indices] @ query.values.astype(np.float64)
            if allowed is not None:
                scores[allowed == 0] = 0
            self.wanted[row] = min(k, int(np.count_nonzero(scores > 0)))
            if self.wanted[row]:
                self.least[row] = np.partition(scores, -self.wanted[row])[-self.wanted[row]]

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
            start, end = self._documents.indptr[document], self._documents.indptr[document + 1]
            terms = self._documents.indices[start:end]
            at = np.minimum(np.searchsorted(query.indices, terms), len(query.indices) - 1)
            weights = np.where(query.indices[at] == terms, query.values[at], 0)
            scores[place] = weights @ self._documents.data[start:end]
        return scores
