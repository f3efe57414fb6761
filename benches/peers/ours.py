"""This project's native engine: the one place where the bench knows how it is built and called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from index.document_mask import DocumentMask
from index.posting_list import PostingLists
from index.searcher import Pruning, TopK, open_searcher
from lsr.sparse import SparseBatch, SparseVector
from peers.engine import APPROXIMATE, EXACT, Engine, Setting

Prepared = tuple[SparseBatch, DocumentMask | None]
FACTORS = (0.9, 0.8, 0.7, 0.6)
QUERY_MASSES = (1.0, 0.9, 0.8)


class OurEngine(Engine):
    """Searches with the weights as stored (float16) and query weights as given (float32)."""

    filters = True

    def build(self, vectors: SparseBatch, folder: Path, **build: Any) -> int:
        self._size = vectors.vocabulary_size
        lists = PostingLists.invert(vectors)
        self._searcher = open_searcher("native", lists)
        return lists.offsets.nbytes + lists.documents.nbytes + lists.weights.nbytes

    def settings(self, build: Mapping[str, Any]) -> list[Setting]:
        pruned = [
            Setting(APPROXIMATE, {"factor": factor, "query_mass": mass})
            for factor in FACTORS
            for mass in QUERY_MASSES
        ]
        return [Setting(EXACT), *pruned]

    def prepare(self, query: SparseVector, alive: DocumentMask | None = None) -> Prepared:
        return SparseBatch.from_rows([query], self._size), alive

    def search(self, prepared: Prepared, k: int, **values: Any) -> TopK:
        query, alive = prepared
        return self._searcher.search(query, k, alive, Pruning(**values))

    def documents(self, found: TopK) -> list[int]:
        row: list[int] = found.documents[0][found.documents[0] >= 0].tolist()
        return row

    def batch(self, prepared: list[Prepared], k: int, **values: Any) -> Callable[[], object] | None:
        queries = SparseBatch.concatenate([query for query, _ in prepared], self._size)
        alive, pruning = prepared[0][1], Pruning(**values)
        return lambda: self._searcher.search(queries, k, alive, pruning)


def native_order(vectors: SparseBatch) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    """The order in which our engine lays documents out; None where it keeps the given order.

    The bench gives it to the peers too, so that all of them search the same layout.
    """
    return None
