"""Test queries ranked in a collection, as users would ask them, some at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from eval.run import Run
from index.collection.writable import Writable
from index.search.config import LARGEST_LIMIT, SearchConfig
from index.search.deadline import Deadline
from index.search.pipeline import search_batch
from index.search.query import SearchQuery
from index.search.reranking import Reranked
from lsr.corpus.documents import Query
from lsr.errors import InputError

QUERIES_AT_A_TIME = 64


@dataclass
class Ranked:
    """The rankings of all queries, ``seconds`` of wall time, and what was searched by what.

    ``fields`` are names; ``query_encoder`` and ``reranked`` as in ``SearchResult``.
    """

    run: Run = field(repr=False)
    using: str
    seconds: float = 0.0
    fields: frozenset[str] = frozenset()
    query_encoder: dict[str, str] = field(default_factory=dict)
    reranked: Reranked | None = None


def rank_queries(
    collection: Writable,
    queries: Sequence[Query],
    config: SearchConfig,
    without_self: bool = False,
    at_a_time: int = QUERIES_AT_A_TIME,
    deadline: Deadline | None = None,
    on_queries: Callable[[int], None] = lambda done: None,
) -> Ranked:
    """Search for each query; one without text finds nothing.

    Args:
        collection: what is searched.
        queries: of distinct ids.
        config: how; a ranking has ``config.limit`` results.
        without_self: whether a document with the query's id is left out of its ranking.
        at_a_time: how many queries make a batch.
        deadline: when all must have been searched.
        on_queries: is told how many are done.

    Raises:
        InputError: the time is up.
        UsageError: the collection can't be searched so.
    """
    limit = config.limit
    if without_self:
        config = replace(config, limit=min(limit + 1, LARGEST_LIMIT))
    deadline = deadline or Deadline()
    asked = [query for query in queries if query.text.strip()]
    run: dict[str, list[tuple[str, float]]] = {query.id: [] for query in queries}
    ranked = Ranked(run, config.using or "")
    for start in range(0, len(asked), at_a_time):
        if deadline.passed():
            raise InputError(
                f"the time is up after {start} of {len(asked)} queries; send fewer at once"
            )
        part = asked[start : start + at_a_time]
        started = time.perf_counter()
        texts = [SearchQuery(text=query.text) for query in part]
        results = search_batch(collection, texts, config, deadline)
        ranked.seconds += time.perf_counter() - started
        for query, result in zip(part, results, strict=True):
            ranked.using, ranked.fields = result.using, frozenset(result.encoder)
            ranked.query_encoder, ranked.reranked = result.query_encoder, result.reranked
            run[query.id] = [
                (hit.id, hit.score)
                for hit in result.hits
                if not (without_self and hit.id == query.id)
            ][:limit]
        on_queries(len(queries) - len(asked) + min(start + len(part), len(asked)))
    return ranked


def warm_up(collection: Writable, queries: Sequence[Query], config: SearchConfig) -> None:
    """Have models and indexes in memory, so that the time of a query is not that of loading."""
    first = next((query for query in queries if query.text.strip()), None)
    if first is not None:
        search_batch(collection, [SearchQuery(text=first.text)], config)
