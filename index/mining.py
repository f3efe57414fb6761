"""Rankings of a training's documents by our own engine, for hard negatives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.inverted_index import LARGEST_DOCUMENT_COUNT, InvertedIndex
from index.native import NativeSearcher
from index.searcher import TopK, merge
from lsr.encoder import SparseEncoder
from lsr.errors import InputError
from lsr.health import NOT_FINITE, finite_rows
from lsr.lexical import collection_statistics
from lsr.sparse import SparseBatch
from lsr.train.vector_cache import OnProgress, no_progress

DOCUMENTS_AT_A_TIME, QUERIES_AT_A_TIME = 1024, 1024


def retrieve(
    encoder: SparseEncoder,
    documents: Sequence[str],
    queries: Sequence[str],
    depth: int,
    on_progress: OnProgress = no_progress,
) -> NDArray[np.int64]:
    """The best documents for each query, exactly: a ``Retrieve`` of ``lsr.train.mining``.

    Returns int64 (queries, depth), rows of ``documents``, best first; -1 where fewer score above
    0. Statistics, where the encoder needs some, are those of the documents. All vectors are held
    in memory.

    Raises:
        InputError: the encoder gives a weight that is not finite.
    """
    parts = []
    for start in range(0, len(documents), DOCUMENTS_AT_A_TIME):
        parts.append(encoder.encode_documents(documents[start : start + DOCUMENTS_AT_A_TIME]))
        on_progress(f"documents by {encoder.name}", start + len(parts[-1]), len(documents))
    stored = SparseBatch.concatenate(parts, encoder.vocabulary.size)
    _check(stored, "documents")
    statistics = collection_statistics(encoder, documents, stored)
    segments = _segments(encoder.impacts(stored, statistics))
    found = np.full((len(queries), depth), -1, dtype=np.int64)
    for start in range(0, len(queries), QUERIES_AT_A_TIME):
        asked = encoder.encode_queries(queries[start : start + QUERIES_AT_A_TIME], statistics)
        _check(asked, "queries")
        rankings = [_offset(searcher.search(asked, depth), first) for first, searcher in segments]
        if rankings:
            best = merge(rankings, depth).documents
            found[start : start + len(asked), : best.shape[1]] = best
        on_progress(f"negatives by {encoder.name}", start + len(asked), len(queries))
    return found


def _segments(impacts: SparseBatch) -> list[tuple[int, NativeSearcher]]:
    """First row and searcher of each part that an inverted index can hold."""
    rows = np.arange(len(impacts))
    return [
        (
            first,
            NativeSearcher(
                InvertedIndex.build(
                    impacts.select((rows >= first) & (rows < first + LARGEST_DOCUMENT_COUNT))
                )
            ),
        )
        for first in range(0, len(impacts), LARGEST_DOCUMENT_COUNT)
    ]


def _offset(found: TopK, first: int) -> TopK:
    return found._replace(documents=np.where(found.documents < 0, -1, found.documents + first))


def _check(vectors: SparseBatch, what: str) -> None:
    if not finite_rows(vectors).all():
        raise InputError(NOT_FINITE.format(what))
