"""This project's native engine: the one place where the bench knows how it is built and called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.engines.document_mask import DocumentMask
from index.engines.inverted_index import InvertedIndex
from index.engines.native import NativeSearcher
from index.engines.searcher import Pruning, TopK
from lsr.sparse import SparseBatch, SparseVector
from peers.engine import APPROXIMATE, EXACT, Engine, Setting

Prepared = tuple[SparseBatch, DocumentMask | None]
FACTORS = (0.98, 0.96, 0.94, 0.92, 0.9, 0.85, 0.8)


class OurEngine(Engine):
    """Searches with the weights as stored (float16) and query weights as given (float32)."""

    filters = True

    def build(self, vectors: SparseBatch, folder: Path, **build: Any) -> int:
        self._size = vectors.vocabulary_size
        index = InvertedIndex.build(vectors)
        self._searcher = NativeSearcher(index, threads=1)
        return index.nbytes

    def settings(self, build: Mapping[str, Any]) -> list[Setting]:
        return [Setting(EXACT), *(Setting(APPROXIMATE, {"factor": factor}) for factor in FACTORS)]

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


def native_order(vectors: SparseBatch) -> NDArray[np.int64]:
    """Row numbers in the order in which our engine lays documents out.

    The bench gives it to the peers too, so that all of them search the same layout.
    """
    order: NDArray[np.int64] = InvertedIndex.build(vectors).arrays["order"].astype(np.int64)
    return order
