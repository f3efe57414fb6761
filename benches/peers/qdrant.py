"""Qdrant's engine, in this process: its segments and sparse index, without its server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from index.engines.document_mask import DocumentMask
from lsr.sparse import SparseBatch, SparseVector
from peers.engine import EXACT, Engine, Setting

VECTOR = "sparse"
# Points of one update.
AT_ONCE = 1000


class QdrantEngine(Engine):
    """Exact search over float32 weights, on one thread; point numbers are row numbers.

    Updates have no log, as nothing here is to survive: the shard is flushed once all are written.
    """

    def build(self, vectors: SparseBatch, folder: Path, **build: Any) -> int:
        place = folder / "shard"
        place.mkdir()
        config = edge.EdgeConfig(
            sparse_vectors={VECTOR: edge.EdgeSparseVectorParams()},
            max_search_threads=1,
            wal_enabled=False,
        )
        self._shard = edge.EdgeShard.create(str(place), config)
        for start in range(0, len(vectors), AT_ONCE):
            points = [
                edge.Point(id=row, vector={VECTOR: _vector(vectors[row])}, payload={})
                for row in range(start, min(start + AT_ONCE, len(vectors)))
                if len(vectors[row])
            ]
            self._shard.update(edge.UpdateOperation.upsert_points(points))
        self._shard.optimize()
        self._shard.flush()
        return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())

    def settings(self, build: Mapping[str, Any]) -> list[Setting]:
        return [Setting(EXACT)]

    def prepare(self, query: SparseVector, alive: DocumentMask | None = None) -> Any:
        return edge.Query.Nearest(_vector(query), using=VECTOR)

    def search(self, prepared: Any, k: int, **values: Any) -> Any:
        return self._shard.query(edge.QueryRequest(limit=k, query=prepared))

    def documents(self, found: Any) -> list[int]:
        return [point.id for point in found]

    def batch(self, prepared: list[Any], k: int, **values: Any) -> Callable[[], object] | None:
        requests = [edge.QueryRequest(limit=k, query=query) for query in prepared]
        return lambda: self._shard.query_batch(edge.QueryBatchRequest(requests))


def _vector(vector: SparseVector) -> Any:
    return edge.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())
