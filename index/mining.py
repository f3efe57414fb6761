"""Rankings of a training's documents by our own engine, for hard negatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.engines.inverted_index import LARGEST_DOCUMENT_COUNT, InvertedIndex
from index.engines.registry import open_searcher
from index.engines.searcher import Searcher, TopK, merge
from lsr.encoders.encoder import SparseEncoder
from lsr.encoders.term_counts import collection_statistics
from lsr.encoding.health import NOT_FINITE, finite_rows
from lsr.errors import InputError
from lsr.sparse import SparseBatch
from lsr.train.vector_cache import OnProgress, no_progress

DOCUMENTS_AT_A_TIME, QUERIES_AT_A_TIME = 1024, 1024


@dataclass(frozen=True)
class Ranking:
    """``documents`` and ``queries`` as they are scored, and the ``best`` documents of each query.

    The rows of ``best.documents`` are those of the documents, -1 where fewer score above 0.
    """

    documents: SparseBatch
    queries: SparseBatch
    best: TopK


def retrieve(
    encoder: SparseEncoder,
    documents: Sequence[str],
    queries: Sequence[str],
    depth: int,
    on_progress: OnProgress = no_progress,
) -> NDArray[np.int64]:
    """The best documents for each query, exactly: a ``Retrieve`` of ``lsr.train.negatives``.

    Returns int64 (queries, depth), rows of ``documents``, best first; -1 where fewer score above
    0. Statistics, where the encoder needs some, are those of the documents. All vectors are held
    in memory.

    Raises:
        InputError: the encoder gives a weight that is not finite.
    """
    return rank(encoder, documents, queries, depth, on_progress).best.documents


def rank(
    encoder: SparseEncoder,
    documents: Sequence[str],
    queries: Sequence[str],
    depth: int,
    on_progress: OnProgress = no_progress,
) -> Ranking:
    """As ``retrieve``, with scores and vectors."""
    parts = []
    for start in range(0, len(documents), DOCUMENTS_AT_A_TIME):
        parts.append(encoder.encode_documents(documents[start : start + DOCUMENTS_AT_A_TIME]))
        on_progress(f"documents by {encoder.name}", start + len(parts[-1]), len(documents))
    stored = SparseBatch.concatenate(parts, encoder.vocabulary.size)
    _check(stored, "documents")
    statistics = collection_statistics(encoder, documents, stored)
    impacts = encoder.impacts(stored, statistics)
    searchers = searchers_over(impacts)
    found = np.full((len(queries), depth), -1, dtype=np.int64)
    scores = np.zeros((len(queries), depth), dtype=np.float32)
    asked: list[SparseBatch] = []
    for start in range(0, len(queries), QUERIES_AT_A_TIME):
        part = encoder.encode_queries(queries[start : start + QUERIES_AT_A_TIME], statistics)
        _check(part, "queries")
        asked.append(part)
        best = search_all(searchers, part, depth)
        width = best.documents.shape[1]
        found[start : start + len(part), :width] = best.documents
        scores[start : start + len(part), :width] = best.scores
        on_progress(f"queries by {encoder.name}", start + len(part), len(queries))
    return Ranking(
        impacts,
        SparseBatch.concatenate(asked, impacts.vocabulary_size),
        TopK.exhaustive(found, scores, "native"),
    )


def searchers_over(impacts: SparseBatch, engine: str = "native") -> list[tuple[int, Searcher]]:
    """First row and searcher of each part that an inverted index can hold.

    Raises:
        UsageError: there is no such engine.
    """
    rows = np.arange(len(impacts))
    return [
        (
            first,
            open_searcher(
                engine,
                InvertedIndex.build(
                    impacts.select((rows >= first) & (rows < first + LARGEST_DOCUMENT_COUNT))
                ),
            ),
        )
        for first in range(0, len(impacts), LARGEST_DOCUMENT_COUNT)
    ]


def search_all(searchers: Sequence[tuple[int, Searcher]], queries: SparseBatch, k: int) -> TopK:
    """The best k rows of all parts, or as many as there are, for each query."""
    if not searchers:
        shape = (len(queries), 0)
        return TopK.exhaustive(np.zeros(shape, np.int64), np.zeros(shape, np.float32), "native")
    return merge([_offset(searcher.search(queries, k), first) for first, searcher in searchers], k)


def _offset(found: TopK, first: int) -> TopK:
    return found._replace(documents=np.where(found.documents < 0, -1, found.documents + first))


def _check(vectors: SparseBatch, what: str) -> None:
    if not finite_rows(vectors).all():
        raise InputError(NOT_FINITE.format(what))
