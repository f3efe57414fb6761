"""This project's native engine: the one place where the bench knows how it is built and called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from engine_bench.vectors import rows_between
from numpy.typing import NDArray

from index.engines.document_mask import DocumentMask
from index.engines.inverted_index import LARGEST_DOCUMENT_COUNT, InvertedIndex
from index.engines.native import search_together
from index.engines.searcher import Pruning, TopK
from lsr.sparse import SparseBatch, SparseVector
from peers.engine import APPROXIMATE, EXACT, Engine, Setting

Prepared = tuple[SparseBatch, list[DocumentMask | None]]
FACTORS = (0.98, 0.96, 0.94, 0.92, 0.9, 0.85, 0.8)


class OurEngine(Engine):
    """Searches with the weights as stored (float16) and query weights as given (float32)."""

    filters = True

    def build(self, vectors: SparseBatch, folder: Path, **build: Any) -> int:
        self._size = vectors.vocabulary_size
        self._indexes = [InvertedIndex.build(part) for part in parts_of(vectors)]
        return sum(index.nbytes for index in self._indexes)

    def settings(self, build: Mapping[str, Any]) -> list[Setting]:
        return [Setting(EXACT), *(Setting(APPROXIMATE, {"factor": factor}) for factor in FACTORS)]

    def prepare(self, query: SparseVector, alive: DocumentMask | None = None) -> Prepared:
        masks: list[DocumentMask | None] = [None] * len(self._indexes)
        if alive is not None:
            counts = [index.document_count for index in self._indexes]
            parts = np.split(alive.allowed, np.cumsum(counts)[:-1])
            masks = [DocumentMask(part) for part in parts]
        return SparseBatch.from_rows([query], self._size), masks

    def search(self, prepared: Prepared, k: int, **values: Any) -> TopK:
        return self._search(*prepared, k, Pruning(**values))

    def documents(self, found: TopK) -> list[int]:
        row: list[int] = found.documents[0][found.documents[0] >= 0].tolist()
        return row

    def batch(self, prepared: list[Prepared], k: int, **values: Any) -> Callable[[], object] | None:
        queries = SparseBatch.concatenate([query for query, _ in prepared], self._size)
        masks, pruning = prepared[0][1], Pruning(**values)
        return lambda: self._search(queries, masks, k, pruning)

    def _search(
        self, queries: SparseBatch, masks: list[DocumentMask | None], k: int, pruning: Pruning
    ) -> TopK:
        cores = [index.core for index in self._indexes]
        numbers = [None] * len(cores)
        return search_together(cores, numbers, masks, queries, k, pruning, threads=1)


def parts_of(vectors: SparseBatch) -> Iterator[SparseBatch]:
    """As many of the vectors as a segment holds, then as many again."""
    for start in range(0, len(vectors), LARGEST_DOCUMENT_COUNT):
        yield rows_between(vectors, start, start + LARGEST_DOCUMENT_COUNT)


def native_order(vectors: SparseBatch) -> NDArray[np.int64]:
    """Row numbers in the order in which our engine lays documents out.

    The bench gives it to the peers too, so that all of them search the same layout.
    """
    orders, first = [], 0
    for part in parts_of(vectors):
        index = InvertedIndex.build(part)
        orders.append(first + index.arrays["order"].astype(np.int64))
        first += index.document_count
    return np.concatenate(orders)
