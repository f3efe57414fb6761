"""SINDI, VSAG's inverted index of windows, by its Python package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.engines.document_mask import DocumentMask
from lsr.sparse import SparseBatch, SparseVector
from peers.engine import APPROXIMATE, EXACT, Engine, Setting

# Documents whose scores are added up together; the fastest of 10,000 to 100,000.
WINDOW = 60_000
CANDIDATES = 50
# Above as many documents a pruned index leaves no memory beside the others: it has all vectors
# once more, and 8.8 million documents of 67 weights take 9 GB in it.
MOST_PRUNED = 5_000_000

Prepared = tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float32]]


class SindiEngine(Engine):
    """Exact where nothing is pruned; else candidates of pruned lists are scored again in full."""

    builds = ({"prune": 0.0}, {"prune": 0.1}, {"prune": 0.2})

    @classmethod
    def unfit(cls, build: Mapping[str, Any], documents: int) -> str | None:
        if build["prune"] > 0 and documents > MOST_PRUNED:
            return "it would take 9 GB and more beside the others"
        return None

    def build(self, vectors: SparseBatch, folder: Path, **build: Any) -> int:
        import pyvsag

        pyvsag.set_logger_off()
        pruned = build["prune"] > 0
        parameters = {
            "dtype": "sparse",
            "dim": int(np.diff(vectors.indptr).max(initial=1)),
            "metric_type": "ip",
            "index_param": {
                "term_id_limit": vectors.vocabulary_size,
                "window_size": WINDOW,
                "doc_prune_ratio": build["prune"],
                "use_reorder": pruned,
            },
        }
        self._index = pyvsag.Index("sindi", json.dumps(parameters))
        self._count = len(vectors)
        self._index.build(
            index_pointers=vectors.indptr.astype(np.uint32),
            indices=vectors.indices.astype(np.uint32),
            values=np.asarray(vectors.values),
            ids=np.arange(len(vectors), dtype=np.int64),
        )
        path = folder / "index.sindi"
        self._index.save(str(path))
        return path.stat().st_size

    def settings(self, build: Mapping[str, Any]) -> list[Setting]:
        exact = {"query_prune_ratio": 0.0, "n_candidate": CANDIDATES}
        if build["prune"] == 0:
            return [Setting(EXACT, exact)]
        return [
            Setting(APPROXIMATE, {"query_prune_ratio": ratio, "n_candidate": candidates})
            for ratio in (0.0, 0.2, 0.4)
            for candidates in (CANDIDATES, 2 * CANDIDATES)
        ]

    def prepare(self, query: SparseVector, alive: DocumentMask | None = None) -> Prepared:
        starts = np.array([0, len(query.indices)], dtype=np.uint32)
        return starts, query.indices.astype(np.uint32), query.values

    def search(self, prepared: Prepared, k: int, **values: Any) -> Any:
        return self._index.knn_search(*prepared, k, _parameters(**values))

    def documents(self, found: Any) -> list[int]:
        # Beyond the documents that it found are numbers of none, and some twice.
        numbers = np.asarray(found[0]).ravel().tolist()
        return [number for number in dict.fromkeys(numbers) if 0 <= number < self._count]


@cache
def _parameters(**values: float) -> str:
    return json.dumps({"sindi": values})
