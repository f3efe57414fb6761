"""Exhaustive scoring as one would write it in a notebook: SciPy's CSR matrix times a vector."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.engines.document_mask import DocumentMask
from lsr.sparse import SparseBatch, SparseVector
from peers.engine import EXACT, Engine, Setting


class ScipyEngine(Engine):
    """Float32 throughout."""

    queries_a_round = 100

    def build(self, vectors: SparseBatch, folder: Path, **build: Any) -> int:
        indices = vectors.indices.astype(np.int32)
        self._matrix = SparseBatch(
            vectors.indptr, indices, np.array(vectors.values), vectors.vocabulary_size
        ).to_scipy()
        parts = (self._matrix.indptr, self._matrix.indices, self._matrix.data)
        return sum(part.nbytes for part in parts)

    def settings(self, build: Mapping[str, Any]) -> list[Setting]:
        return [Setting(EXACT)]

    def prepare(
        self, query: SparseVector, alive: DocumentMask | None = None
    ) -> NDArray[np.float32]:
        dense = np.zeros(self._matrix.shape[1], np.float32)
        dense[query.indices] = query.values
        return dense

    def search(self, prepared: NDArray[np.float32], k: int, **values: Any) -> NDArray[np.int64]:
        scores = self._matrix @ prepared
        k = min(k, len(scores))
        best = np.argpartition(-scores, k - 1)[:k]
        best = best[np.lexsort((best, -scores[best]))]
        found: NDArray[np.int64] = best[scores[best] > 0]
        return found

    def documents(self, found: NDArray[np.int64]) -> list[int]:
        documents: list[int] = found.tolist()
        return documents
