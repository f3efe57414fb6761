"""zvec, Alibaba's database in a process, by its Python package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from index.engines.document_mask import DocumentMask
from lsr.sparse import SparseBatch, SparseVector
from peers.engine import APPROXIMATE, EXACT, Engine, Setting

FIELD = "vector"
# Documents of one insertion; more than 1,024 are refused.
AT_ONCE = 1000
MOST_LINKED = 300_000


class ZvecEngine(Engine):
    """Float32 weights; ``flat`` scores every document, ``hnsw`` follows a graph.

    A graph is searched as it was built: for sparse vectors a query's ``ef`` changes nothing.
    """

    builds = ({"flat": True}, {"m": 32, "ef_construction": 100})
    queries_a_round = 50

    @classmethod
    def unfit(cls, build: Mapping[str, Any], documents: int) -> str | None:
        if "m" in build and documents > MOST_LINKED:
            return "linking so many documents into a graph takes the better part of an hour"
        return None

    def build(self, vectors: SparseBatch, folder: Path, **build: Any) -> int:
        import zvec

        zvec.init(log_level=zvec.LogLevel.ERROR, query_threads=1)
        kind = zvec.FlatIndexParam if "flat" in build else zvec.HnswIndexParam
        options = {} if "flat" in build else build
        index = kind(metric_type=zvec.MetricType.IP, **options)
        field = zvec.VectorSchema(FIELD, zvec.DataType.SPARSE_VECTOR_FP32, index_param=index)
        schema = zvec.CollectionSchema(name="bench", fields=[], vectors=[field])
        place = folder / "collection"
        self._zvec = zvec
        self._collection = zvec.create_and_open(str(place), schema)
        for start in range(0, len(vectors), AT_ONCE):
            documents = [
                zvec.Doc(id=str(row), vectors={FIELD: _weights(vectors[row])})
                for row in range(start, min(start + AT_ONCE, len(vectors)))
                if len(vectors[row])
            ]
            refused = [each for each in self._collection.insert(documents) if not each.ok()]
            if refused:
                raise RuntimeError(f"zvec refused a document: {refused[0]}")
        self._collection.optimize()
        self._collection.flush()
        return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())

    def settings(self, build: Mapping[str, Any]) -> list[Setting]:
        return [Setting(EXACT if "flat" in build else APPROXIMATE)]

    def prepare(self, query: SparseVector, alive: DocumentMask | None = None) -> Any:
        return self._zvec.Query(FIELD, vector=_weights(query))

    def search(self, prepared: Any, k: int, **values: Any) -> Any:
        return self._collection.query(prepared, topk=k)

    def documents(self, found: Any) -> list[int]:
        return [int(document.id) for document in found]


def _weights(vector: SparseVector) -> dict[int, float]:
    return dict(zip(vector.indices.tolist(), vector.values.tolist(), strict=True))
