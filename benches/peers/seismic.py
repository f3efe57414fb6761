"""Seismic (Bruch, Nardini, Rulli, Venturini, SIGIR 2024), by its Python package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from index.engines.document_mask import DocumentMask
from lsr.sparse import SparseBatch, SparseVector
from peers.engine import APPROXIMATE, Engine, Setting


class SeismicEngine(Engine):
    """The raw index, which takes term numbers: the string index spends time on token look-ups."""

    builds = (
        {},
        {"max_fraction": 3.0},
        {"centroid_fraction": 0.2, "summary_energy": 0.5, "max_fraction": 6.0},
    )

    def build(self, vectors: SparseBatch, folder: Path, **build: Any) -> int:
        import seismic

        source = folder / "documents.bin"
        _write(source, vectors)
        self._index = seismic.SeismicIndexRaw.build(str(source), **build)
        source.unlink()
        self._queries = folder / "queries.bin"
        self._size = vectors.vocabulary_size
        self._index.save(str(folder / "index"))
        return sum(path.stat().st_size for path in folder.glob("index*"))

    def settings(self, build: Mapping[str, Any]) -> list[Setting]:
        return [
            Setting(APPROXIMATE, {"query_cut": cut, "heap_factor": factor})
            for cut in (5, 10, 20)
            for factor in (0.6, 0.7, 0.8, 0.9)
        ]

    def prepare(self, query: SparseVector, alive: DocumentMask | None = None) -> SparseVector:
        return SparseVector(query.indices.astype(np.int32), query.values)

    def search(self, prepared: SparseVector, k: int, **values: Any) -> Any:
        return self._index.search(
            prepared.indices,
            prepared.values,
            k,
            values["query_cut"],
            values["heap_factor"],
            0,
            True,
        )

    def documents(self, found: Any) -> list[int]:
        return [document for _, document in found]

    def batch(
        self, prepared: list[SparseVector], k: int, **values: Any
    ) -> Callable[[], object] | None:
        _write(self._queries, SparseBatch.from_rows(prepared, self._size))
        cut, factor = values["query_cut"], values["heap_factor"]
        path = str(self._queries)
        return lambda: self._index.batch_search(path, k, cut, factor, 0, True, num_threads=1)


def _write(path: Path, vectors: SparseBatch) -> None:
    """Seismic's inner format: a count, then of each vector its length, terms and float32 weights.

    All are little-endian 32-bit words.
    """
    lengths = np.diff(vectors.indptr)
    starts = np.concatenate([[0], np.cumsum(1 + 2 * lengths)])
    words = np.empty(starts[-1], np.uint32)
    words[starts[:-1]] = lengths
    rows = np.repeat(np.arange(len(vectors)), lengths)
    places = starts[rows] + 1 + np.arange(vectors.nnz) - vectors.indptr[rows]
    words[places] = vectors.indices
    words[places + lengths[rows]] = vectors.values.view(np.uint32)
    with path.open("wb") as stream:
        stream.write(np.uint32(len(vectors)).tobytes())
        stream.write(words.tobytes())
