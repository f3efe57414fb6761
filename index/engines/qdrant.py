"""Qdrant's engine, in this process, over the inverted index of a segment: to compare.

Collections that lie in Qdrant are another thing; ``index.qdrant`` has them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.engines.document_mask import DocumentMask
from index.engines.inverted_index import InvertedIndex
from index.engines.searcher import EXACT, Pruning, TopK
from index.qdrant.address import EDGE, QdrantAddress
from index.qdrant.conditions import Condition, Neither, Points
from index.qdrant.edge_port import EdgePort
from index.qdrant.layout import PLACE_BITS, number_of
from index.qdrant.port import Found, Layout, Point
from index.qdrant.ranking import exact_score, spread, top_of
from lsr.sparse import SparseBatch, SparseVector

VECTOR = "sparse"
# Documents that are written at once.
AT_ONCE = 10_000


class QdrantSearcher:
    """Qdrant's exact search over float32 weights, in a folder that goes when this does.

    Qdrant sums in an order of its own, so the scores of what it found are computed anew.
    """

    def __init__(self, index: InvertedIndex, threads: int | None = None) -> None:
        """``threads`` search; None: as many as the machine has cores."""
        self._index = index
        self.folder = tempfile.TemporaryDirectory(prefix="lsr-qdrant-")
        address = QdrantAddress(EDGE, "segment", folder=Path(self.folder.name))
        self.port = EdgePort(address, threads, durable=False)
        self.port.create(Layout((VECTOR,), {}))
        batch = index.to_batch()
        for start in range(0, len(batch), AT_ONCE):
            places = range(start, min(start + AT_ONCE, len(batch)))
            points = [Point(number_of(n), {}, {VECTOR: batch[n]}) for n in places if len(batch[n])]
            self.port.write(points)
        self.port.flush()

    def search(
        self,
        queries: SparseBatch,
        k: int,
        alive: DocumentMask | None = None,
        pruning: Pruning = EXACT,
        floor: NDArray[np.float32] | None = None,
    ) -> TopK:
        """See ``Searcher.search``; nothing is pruned."""
        known = queries.keep(queries.indices < self._index.vocabulary_size)
        asked = [place for place, query in enumerate(known) if len(query)]
        allowed = None if alive is None else alive.prepared(self, _allowed)
        width = min(k, self._index.document_count)

        def search(places: Sequence[int], limit: int) -> list[Found]:
            rows = [known[asked[place]] for place in places]
            batch = SparseBatch.from_rows(rows, known.vocabulary_size)
            return self.port.search(VECTOR, batch, limit, allowed)

        def exactly(place: int) -> tuple[SparseVector, _Rows]:
            return known[asked[place]], _Rows(self._index, known[asked[place]])

        last = number_of(self._index.document_count)
        top = top_of(search, len(asked), max(width, 1), False, last, True, exactly)
        scores = top.scores.copy()
        for row, place in enumerate(asked):
            found = top.documents[row][top.documents[row] >= 0].tolist()
            rows_of = _Rows(self._index, known[place])(found)
            scores[row, : len(found)] = [exact_score(known[place], rows_of[n]) for n in found]
        ordinals = np.where(top.documents < 0, -1, top.documents >> PLACE_BITS)
        return spread(top._replace(documents=ordinals, scores=scores), asked, len(queries))


class _Rows:
    """What documents have of the terms of one query."""

    def __init__(self, index: InvertedIndex, query: SparseVector) -> None:
        self._index = index
        self._terms = query.indices

    def __call__(self, numbers: Sequence[int]) -> dict[int, SparseVector]:
        ordinals = np.array(numbers, dtype=np.int64) >> PLACE_BITS
        weights = self._index.weights_of(ordinals, self._terms)
        return {
            number: SparseVector(self._terms[row > 0], row[row > 0])
            for number, row in zip(numbers, weights, strict=True)
        }


def _allowed(allowed: NDArray[np.uint8]) -> Condition:
    """The documents that a mask lets pass, named by the fewer."""
    passing, others = np.flatnonzero(allowed), np.flatnonzero(allowed == 0)
    if len(passing) <= len(others):
        return Points(tuple(number_of(n) for n in passing.tolist()))
    return Neither(Points(tuple(number_of(n) for n in others.tolist())))
