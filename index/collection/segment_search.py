"""One ranking of all segments: searched together by the native engine, in turn by the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from index.collection.best_passages import best_passages
from index.collection.segment import Segment
from index.engines import native
from index.engines.document_mask import DocumentMask
from index.engines.searcher import Pruning, TopK, merge
from lsr.sparse import SparseBatch

# Searches a segment, among the documents of a mask, for so many rows that score at least a floor.
SegmentSearch = Callable[[Segment, DocumentMask | None, NDArray[np.float32] | None, int], TopK]


def search_together(
    segments: Sequence[Segment],
    alive: Sequence[DocumentMask | None],
    field: str,
    queries: SparseBatch,
    k: int,
    pruning: Pruning,
) -> TopK:
    """The top k of a sparse field by the native engine, for which segments are parts of one index.

    ``alive`` has the rows of each that may be found; None: all. One segment or more.
    """
    split = any(segment.owners is not None for segment in segments)

    def search(wanted: int) -> TopK:
        found = native.search_together(
            [segment.indexes[field].core for segment in segments],
            [segment.sequence for segment in segments],
            alive,
            queries,
            wanted,
            pruning,
        )
        return _by_number(segments, found) if split else found

    rows = sum(map(len, segments))
    return best_passages(search, rows, split, k, once=pruning.budget_us > 0)


def search_in_turn(
    search: SegmentSearch,
    segments: Sequence[Segment],
    alive: Sequence[DocumentMask | None],
    queries: int,
    k: int,
    once: bool = False,
) -> TopK:
    """The top k of so many queries, from that of each segment; ``once`` as of ``best_passages``."""
    parts = []
    floor: NDArray[np.float32] | None = None
    # The largest first: its k-th score spares the others most.
    order = sorted(zip(segments, alive, strict=True), key=lambda part: len(part[0]), reverse=True)
    for segment, allowed in order:
        rows = partial(_search_segment, search, segment, allowed, floor)
        found = best_passages(rows, len(segment), segment.owners is not None, k, once)
        parts.append(found)
        if 0 < k <= found.scores.shape[1] and len(segments) > 1:
            last = found.scores[:, k - 1]
            floor = np.maximum(last, 0 if floor is None else floor)
    if not parts:
        none = np.empty((queries, 0), dtype=np.int64)
        return TopK.exhaustive(none, none.astype(np.float32), "empty")
    return merge(parts, k)


def _search_segment(
    search: SegmentSearch,
    segment: Segment,
    alive: DocumentMask | None,
    floor: NDArray[np.float32] | None,
    wanted: int,
) -> TopK:
    return _by_place(segment, search(segment, alive, floor, wanted))


def _by_number(segments: Sequence[Segment], found: TopK) -> TopK:
    """A ranking with numbers of documents, and of passages, in the place of numbers of rows."""
    documents = found.documents.copy()
    for segment in segments:
        if segment.owners is not None and len(segment):
            first, last = segment.sequence[0], segment.sequence[-1]
            here = (first <= found.documents) & (found.documents <= last)
            places = np.searchsorted(segment.sequence, found.documents[here])
            documents[here] = segment.owners[places]
    return found._replace(documents=documents, passages=found.documents - documents)


def _by_place(segment: Segment, found: TopK) -> TopK:
    """A ranking with numbers of documents, and of passages, in the place of places in a segment."""
    if len(segment) == 0:
        return found
    missing = found.documents < 0
    places = np.where(missing, 0, found.documents)
    documents = segment.documents[places]
    passages = None if segment.owners is None else segment.sequence[places] - documents
    return found._replace(documents=np.where(missing, -1, documents), passages=passages)
