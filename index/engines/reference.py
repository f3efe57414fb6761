"""The reference engine: exhaustive scoring in NumPy, the oracle of every other engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.engines.document_mask import DocumentMask
from index.engines.inverted_index import InvertedIndex
from index.engines.searcher import EXACT, Pruning, TopK, select
from lsr.sparse import SparseBatch, SparseVector


class ReferenceSearcher:
    """Scores every document that shares a term with the query."""

    def __init__(self, index: InvertedIndex) -> None:
        self._lists = index.posting_lists()

    def search(
        self,
        queries: SparseBatch,
        k: int,
        alive: DocumentMask | None = None,
        pruning: Pruning = EXACT,
        floor: NDArray[np.float32] | None = None,
    ) -> TopK:
        """See ``Searcher.search``."""
        width = min(k, self._lists.document_count)
        documents = np.full((len(queries), width), -1, dtype=np.int64)
        scores = np.zeros((len(queries), width), dtype=np.float32)
        for row, query in enumerate(queries):
            every = self._score(query)
            wanted = every > 0 if alive is None else (every > 0) & (alive.allowed != 0)
            found = np.flatnonzero(wanted)
            best = found[select(every[found], found, width)]
            documents[row, : len(best)] = best
            scores[row, : len(best)] = every[best]
        return TopK.exhaustive(documents, scores, "exhaustive")

    def _score(self, query: SparseVector) -> NDArray[np.float32]:
        lists = self._lists
        scores = np.zeros(lists.document_count, dtype=np.float32)
        for term, weight in zip(query.indices, query.values, strict=True):
            if term >= len(lists.offsets) - 1:
                continue
            postings = slice(lists.offsets[term], lists.offsets[term + 1])
            scores[lists.documents[postings]] += weight * lists.weights[postings].astype(np.float32)
        return scores
