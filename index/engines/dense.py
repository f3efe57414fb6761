"""Exact dense search with FAISS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.engines.document_mask import DocumentMask
from index.engines.searcher import TopK, select
from lsr.errors import MissingDependencyError
from lsr.threads import wait_passively

# From 20 queries on FAISS switches to matrix multiplication, whose scores differ in the last bits
# from those of a single query. Fewer at a time keep a query's scores the same in any batch.
QUERIES_AT_A_TIME = 16


class DenseSearcher:
    """Exhaustive inner product over the vectors of one segment (FAISS ``IndexFlatIP``)."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        wait_passively()
        try:
            import faiss
        except ImportError as error:
            raise MissingDependencyError("dense search", "faiss-cpu", "dense") from error
        self._faiss: Any = faiss
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(np.ascontiguousarray(vectors, dtype=np.float32))

    def search(
        self, queries: NDArray[np.float32], k: int, alive: DocumentMask | None = None
    ) -> TopK:
        """The k documents of highest inner product, in ranking order, whatever its sign.

        Args:
            queries: float32 (n_queries, dimension).
            k: results a query.
            alive: documents that may be returned; None: all.
        """
        width = min(k, self._index.ntotal)
        documents = np.full((len(queries), width), -1, dtype=np.int64)
        scores = np.zeros((len(queries), width), dtype=np.float32)
        parameters = None
        if alive is not None:
            allowed = alive.prepared(DenseSearcher, _bits)
            selector = self._faiss.IDSelectorBitmap(allowed)
            parameters = self._faiss.SearchParameters(sel=selector)
        for start in range(0, len(queries), QUERIES_AT_A_TIME):
            rows = queries[start : start + QUERIES_AT_A_TIME]
            for place, (found, values) in enumerate(self._search(rows, width, parameters)):
                documents[start + place, : len(found)] = found
                scores[start + place, : len(found)] = values
        return TopK.exhaustive(documents, scores, "exhaustive")

    def _search(
        self, queries: NDArray[np.float32], k: int, parameters: Any
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """FAISS leaves ties in any order, so ask for more until no tie crosses the end."""
        wanted = min(k + 1, self._index.ntotal)
        while True:
            values, found = self._index.search(queries, max(wanted, 1), params=parameters)
            crossing = (values[:, min(k, wanted) - 1] == values[:, -1]) & (found[:, -1] >= 0)
            if wanted >= self._index.ntotal or k == 0 or not crossing.any():
                break
            wanted = min(2 * wanted, self._index.ntotal)
        rankings = []
        for line, score in zip(found, values, strict=True):
            line, score = line[line >= 0], score[line >= 0]
            order = select(score, line, k)
            rankings.append((line[order], score[order]))
        return rankings


def _bits(allowed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.packbits(allowed != 0, bitorder="little")
