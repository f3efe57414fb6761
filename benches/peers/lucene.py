"""Lucene over Anserini's impact index: this project's engine ``lucene``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from index.engines.document_mask import DocumentMask
from index.engines.inverted_index import InvertedIndex
from index.engines.java import lucene_version
from index.engines.lucene import LuceneSearcher
from lsr.sparse import SparseBatch, SparseVector
from peers.engine import ROUNDED, Engine, Setting


class LuceneEngine(Engine):
    """Times Lucene's search alone: neither its query parser nor reading the hits from Python."""

    filters = True
    warm_up = 3000

    def build(self, vectors: SparseBatch, folder: Path, **build: Any) -> int:
        self._searcher = LuceneSearcher(InvertedIndex.build(vectors, reorder=False))
        return sum(path.stat().st_size for path in Path(self._searcher.folder.name).iterdir())

    def version(self) -> str | None:
        return lucene_version()

    def settings(self, build: Mapping[str, Any]) -> list[Setting]:
        return [Setting(ROUNDED)]

    def prepare(self, query: SparseVector, alive: DocumentMask | None = None) -> Any:
        return self._searcher.parse(query, alive)

    def search(self, prepared: Any, k: int, **values: Any) -> Any:
        return None if prepared is None else self._searcher.run(prepared, k)

    def documents(self, found: Any) -> list[int]:
        return [] if found is None else [hit.doc for hit in found.scoreDocs]
