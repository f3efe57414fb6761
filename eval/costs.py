"""What a search costs: sizes of its vectors and of its index, and how long queries take alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eval.cell import Cell
from index.collection.collection import Collection
from index.collection.field import Field
from index.collection.segment_view import SegmentView
from index.collection.writable import Writable
from index.search.config import SearchConfig
from index.search.defaults import with_defaults
from index.search.pipeline import search
from index.search.plan import plan_search
from index.search.query import SearchQuery
from index.search.ranking import encode
from lsr.corpus.documents import Query
from lsr.sparse import SparseBatch

# How many queries are encoded for their sizes, and how many are timed, evenly over all.
SIZED = 1000
TIMED = 200
# Timing ends after so many seconds, once it has so many queries.
LONGEST = 20.0
FEWEST = 20
OVER_BM25 = "latency_over_bm25"


@dataclass(frozen=True)
class _Size:
    """Non-zeros of a query and of a document (means), FLOPS, and bytes of the index."""

    query_nonzeros: float
    document_nonzeros: float
    flops: float
    bytes: int


def vector_costs(
    collection: Writable, queries: Sequence[Query], config: SearchConfig
) -> dict[str, float]:
    """What a search costs by its vectors, whatever the machine; sums over the fields searched.

    ``query_nonzeros`` and ``document_nonzeros`` are means, the latter of passages where documents
    were split; ``flops`` is the expected number of products of a query and a document, the sum over
    terms of the share of documents that have the term times that of queries (Paria et al. 2020;
    those of a dense field are all its dimensions); ``bytes_per_document`` is what the
    indexes of the fields take on disk. Without feedback, and of at most 1,000 queries. Of a
    collection in Qdrant, which does not tell what it takes, there are none.
    """
    if not isinstance(collection, Collection):
        return {}
    asked = [SearchQuery(query.text) for query in _evenly(queries, SIZED)]
    if not asked:
        return {}
    with collection.pinned() as view:
        plan = plan_search(view.fields, with_defaults(view, config))
        encoded = encode(view, plan, asked)
        sizes = [_size(view, each.field, encoded[each.field.name]) for each in plan.searches]
        documents = max(len(view), 1)
    return {
        "query_nonzeros": sum(size.query_nonzeros for size in sizes),
        "document_nonzeros": sum(size.document_nonzeros for size in sizes),
        "flops": sum(size.flops for size in sizes),
        "bytes_per_document": sum(size.bytes for size in sizes) / documents,
    }


def query_times(
    collection: Writable, queries: Sequence[Query], config: SearchConfig
) -> dict[str, float]:
    """Wall time in ms of single queries, one after the other, as a service gets them.

    ``ms_p50`` and ``ms_p99`` over ``timed_queries``, at most 200, and the mean of each stage as
    ``ms_encode``, ``ms_rank`` and so on. What is searched should be in memory.
    """
    took: list[float] = []
    stages: dict[str, float] = {}
    started = time.perf_counter()
    for query in _evenly(queries, TIMED):
        began = time.perf_counter()
        result = search(collection, SearchQuery(query.text), config)
        ended = time.perf_counter()
        took.append(1000 * (ended - began))
        for name, ms in result.stages_ms.items():
            stages[name] = stages.get(name, 0.0) + ms
        if ended - started > LONGEST and len(took) >= FEWEST:
            break
    if not took:
        return {}
    return {
        "timed_queries": float(len(took)),
        "ms_p50": float(np.percentile(took, 50)),
        "ms_p99": float(np.percentile(took, 99)),
        **{f"ms_{name}": ms / len(took) for name, ms in stages.items()},
    }


def over_bm25(cells: Sequence[Cell]) -> list[Cell]:
    """The cells with ``latency_over_bm25``: how many times a query takes that of plain BM25 (p50).

    Where the data set has no cell of BM25 alone, a cell stays as it is.
    """
    plain: dict[str, float] = {}
    for cell in cells:
        if cell.encoder.startswith("bm25") and "+" not in cell.encoder and "ms_p50" in cell.costs:
            plain.setdefault(cell.dataset, cell.costs["ms_p50"])
    return [
        replace(cell, costs={**cell.costs, OVER_BM25: cell.costs["ms_p50"] / plain[cell.dataset]})
        if cell.dataset in plain and "ms_p50" in cell.costs
        else cell
        for cell in cells
    ]


def _evenly(queries: Sequence[Query], most: int) -> list[Query]:
    """At most so many of the queries with text, at even distances."""
    asked = [query for query in queries if query.text.strip()]
    places = np.unique(np.linspace(0, len(asked) - 1, min(len(asked), most)).astype(np.int64))
    return [asked[place] for place in places] if asked else []


def _size(view: SegmentView, field: Field, queries: SparseBatch | NDArray[np.float32]) -> _Size:
    if not isinstance(queries, SparseBatch):
        dimension = queries.shape[1]
        stored = sum(segment.vectors[field.name].nbytes for segment in view.segments)
        return _Size(dimension, dimension, dimension, stored)
    rows = max(sum(map(len, view.segments)), 1)
    indexes = [segment.indexes[field.name] for segment in view.segments]
    of_queries = queries.document_frequency() / len(queries)
    shares = 0.0
    for index in indexes:
        of_documents = index.document_frequency() / rows
        common = min(len(of_documents), len(of_queries))
        shares += float(of_queries[:common] @ of_documents[:common])
    return _Size(
        queries.nnz / len(queries),
        sum(index.posting_count for index in indexes) / rows,
        shares,
        sum(array.nbytes for index in indexes for array in index.pack().values()),
    )
