"""Block-Max Pruning (Mallia, Suel, Tonellotto, SIGIR 2024), by its Python package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from index.engines.document_mask import DocumentMask
from lsr.sparse import SparseBatch, SparseVector
from peers.engine import APPROXIMATE, ROUNDED, Engine, Setting

LARGEST_IMPACT = 255
# Of its block maxima, a byte a term and block; a searcher takes about twice that.
MOST_BYTES = 2.5 * 2**30


class BmpEngine(Engine):
    """Document weights are rounded to 1..255; it rounds query weights to 5 bits by itself."""

    builds = ({"block": 4}, {"block": 8}, {"block": 16})

    @classmethod
    def unfit(cls, build: Mapping[str, Any], documents: int) -> str | None:
        if documents // int(build["block"]) * 30_522 < MOST_BYTES:
            return None
        return f"its block maxima would take more than {MOST_BYTES / 2**30} GiB"

    def build(self, vectors: SparseBatch, folder: Path, **build: Any) -> int:
        import bmp

        self._path = folder / "index.bmp"
        self._names = [str(term) for term in range(vectors.vocabulary_size)]
        indexer = bmp.Indexer(str(self._path), build["block"], False)
        step = float(vectors.values.max(initial=0)) / LARGEST_IMPACT or 1.0
        for row, vector in enumerate(vectors):
            impacts = np.maximum(1, np.rint(vector.values / step)).astype(int).tolist()
            terms = [self._names[term] for term in vector.indices.tolist()]
            indexer.add_document(str(row), dict(zip(terms, impacts, strict=True)))
        indexer.finish()
        return self._path.stat().st_size

    def open(self) -> None:
        import bmp

        self._searcher = bmp.Searcher(str(self._path))

    def settings(self, build: Mapping[str, Any]) -> list[Setting]:
        return [
            Setting(ROUNDED if alpha == beta == 1 else APPROXIMATE, {"alpha": alpha, "beta": beta})
            for alpha in (1.0, 0.9, 0.8, 0.7)
            for beta in (1.0, 0.8, 0.6)
        ]

    def prepare(self, query: SparseVector, alive: DocumentMask | None = None) -> dict[str, float]:
        terms = [self._names[term] for term in query.indices.tolist()]
        return dict(zip(terms, query.values.tolist(), strict=True))

    def search(self, prepared: dict[str, float], k: int, **values: Any) -> Any:
        try:
            return self._searcher.search(prepared, k, values["alpha"], values["beta"])
        except BaseException as error:
            # Where no block passes it panics, and PyO3's PanicException is no Exception.
            if type(error).__name__ != "PanicException":
                raise
            return [], []

    def documents(self, found: Any) -> list[int]:
        return [int(name) for name in found[0]]
