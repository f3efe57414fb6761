"""kANNolo (Delfino et al., ECIR 2025), a graph of neighbours, by its Python package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.engines.document_mask import DocumentMask
from lsr.sparse import SparseBatch, SparseVector
from peers.engine import APPROXIMATE, Engine, Setting

# A build takes more than a millisecond a document, and more for each as they become more.
MOST_DOCUMENTS = 300_000

Prepared = tuple[NDArray[np.int32], NDArray[np.float32]]


class KannoloEngine(Engine):
    """Its plain index of sparse vectors: nothing pruned, and a graph that its defaults make."""

    builds = ({"m": 32, "ef_construction": 200},)
    queries_a_round = 500

    @classmethod
    def unfit(cls, build: Mapping[str, Any], documents: int) -> str | None:
        if documents > MOST_DOCUMENTS:
            return "linking so many documents into a graph takes the better part of an hour"
        return None

    def build(self, vectors: SparseBatch, folder: Path, **build: Any) -> int:
        import kannolo

        self._index = kannolo.SparsePlainHNSW.build_from_arrays(
            vectors.indices.astype(np.int32),
            np.array(vectors.values, dtype=np.float32),
            vectors.indptr.astype(np.int64),
            **build,
        )
        size: int = self._index.space_usage_bytes()
        return size

    def settings(self, build: Mapping[str, Any]) -> list[Setting]:
        return [
            Setting(APPROXIMATE, {"ef_search": candidates, "early_exit_threshold": threshold})
            for candidates in (20, 50, 100, 200, 400, 800, 1600)
            for threshold in (None, 0.2)
        ]

    def prepare(self, query: SparseVector, alive: DocumentMask | None = None) -> Prepared:
        return query.indices.astype(np.int32), query.values

    def search(self, prepared: Prepared, k: int, **values: Any) -> Any:
        return self._index.search(*prepared, k, **values)

    def documents(self, found: Any) -> list[int]:
        documents: list[int] = found[1].tolist()
        return documents

    def batch(self, prepared: list[Prepared], k: int, **values: Any) -> Callable[[], object] | None:
        terms, weights = (np.concatenate(parts) for parts in zip(*prepared, strict=True))
        starts = np.cumsum([0, *(len(terms) for terms, _ in prepared)], dtype=np.int64)
        # Without num_threads it takes all cores.
        return lambda: self._index.batch_search(terms, weights, starts, k, num_threads=1, **values)
