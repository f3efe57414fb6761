"""milvus-lite, Milvus in a process beside this one, by its Python client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from machine import children

from index.engines.document_mask import DocumentMask
from lsr.sparse import SparseBatch, SparseVector
from peers.engine import APPROXIMATE, EXACT, Engine, Setting

COLLECTION, FIELD = "bench", "vector"
# Documents of one insertion.
AT_ONCE = 1000


class MilvusEngine(Engine):
    """Exact over float32 weights where no part of the query is dropped.

    What is timed is a call of the client, as every search of milvus-lite goes through it.
    """

    builds = ({"inverted_index_algo": "DAAT_MAXSCORE"},)
    queries_a_round = 200

    def build(self, vectors: SparseBatch, folder: Path, **build: Any) -> int:
        from pymilvus import DataType, MilvusClient

        # The program beside finds its database by this name, which may be no longer than this.
        self._client = MilvusClient(str(folder / "bench.db"))
        schema = self._client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field(FIELD, DataType.SPARSE_FLOAT_VECTOR)
        indexes = self._client.prepare_index_params()
        indexes.add_index(FIELD, index_type="SPARSE_INVERTED_INDEX", metric_type="IP", params=build)
        self._client.create_collection(COLLECTION, schema=schema, index_params=indexes)
        for start in range(0, len(vectors), AT_ONCE):
            rows = [
                {"id": row, FIELD: _weights(vectors[row])}
                for row in range(start, min(start + AT_ONCE, len(vectors)))
                if len(vectors[row])
            ]
            self._client.insert(COLLECTION, rows)
        return sum(path.stat().st_size for path in folder.glob("bench.db*"))

    def open(self) -> None:
        self._client.load_collection(COLLECTION)
        self._keep_to_one_core()

    def settings(self, build: Mapping[str, Any]) -> list[Setting]:
        return [
            Setting(APPROXIMATE if ratio else EXACT, {"drop_ratio_search": ratio})
            for ratio in (0.0, 0.05, 0.1, 0.2)
        ]

    def prepare(self, query: SparseVector, alive: DocumentMask | None = None) -> Any:
        return [_weights(query)]

    def search(self, prepared: Any, k: int, **values: Any) -> Any:
        parameters = {"metric_type": "IP", "params": values}
        return self._client.search(
            COLLECTION, prepared, anns_field=FIELD, limit=k, search_params=parameters
        )

    def documents(self, found: Any) -> list[int]:
        return [hit["id"] for hit in found[0]]

    def _keep_to_one_core(self) -> None:
        """The program has pools of threads whose size can't be set: all of them get one core."""
        core = max(os.sched_getaffinity(0))
        for process in children():
            for thread in Path(f"/proc/{process}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {core})


def _weights(vector: SparseVector) -> dict[int, float]:
    return dict(zip(vector.indices.tolist(), vector.values.tolist(), strict=True))
