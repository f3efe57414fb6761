"""The one query path: plan -> encode -> rank each field -> fuse -> hits.

Command line, REST and evaluation all call ``search``, so what is measured is what is served.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.collection.collection import Collection
from index.collection.view import View
from index.engines.document_mask import Masks
from index.engines.searcher import TopK
from index.search.config import SearchConfig
from index.search.context import Context, context_of
from index.search.deadline import Deadline
from index.search.explain import query_terms
from index.search.fusion import ReciprocalRankFusion
from index.search.hits import Hit, page_hits
from index.search.plan import Plan, plan_search
from index.search.query import (
    EncodedQuery,
    SearchQuery,
    encode_query,
    unknown_tokens,
    unknown_words,
)
from index.search.rewriting import Rewritten, rewrite
from index.search.stage_times import StageTimes
from lsr.errors import InputError
from lsr.sparse import SparseBatch, SparseVector

Rows = SparseBatch | NDArray[np.float32]
# Documents by number with their scores, best first.
Ranking = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What one query found, and how."""

    # Best first.
    hits: list[Hit]
    # Wall time of the whole call, encoding included.
    took_ms: float
    # What was searched, as in SearchConfig.
    using: str
    # Of the newest segment file; 0: there is none.
    generation: int
    # Searched, those newer than the segments included; with a filter, those that pass it.
    documents: int
    # Fingerprint of the encoder of each field that was searched.
    encoder: dict[str, str]
    # Fingerprint of what encoded the queries to a field, where it is another.
    query_encoder: dict[str, str]
    # Certifies that exact search would have given these very hits. In a fusion it says so of every
    # ranking that was fused, down to its whole depth, since any result could move any hit.
    exact: bool
    # How far a document that was left out could score above the last result of its ranking; in a
    # fusion the largest, each in the scores of its own field. Where it is 0 and `exact` is false,
    # only a tie with that result can be missing.
    bound_gap: float
    # How each field was searched; `plan` in JSON.
    strategies: dict[str, str]
    # Token and weight of each term of the query, by sparse field, heaviest first; on `explain`.
    query_terms: dict[str, list[tuple[str, float]]] = dataclasses.field(default_factory=dict)
    # Tokens of the query that no imported vector has, so that they add nothing.
    unknown_tokens: list[str] = dataclasses.field(default_factory=list)
    # Whether the deadline passed before all was done: marks or terms of some hits may be missing,
    # and what ranking left out is told by `exact`.
    timed_out: bool = False
    # Words of the query that no document has in a searched field, as the query spells them; with
    # payloads only.
    unknown_words: list[str] = dataclasses.field(default_factory=list)
    # Wall time of each stage, as in StageTimes; of a batch, those of all its queries.
    stages_ms: dict[str, float] = dataclasses.field(default_factory=dict)
    # What was searched in place of the query, where rewriting was asked for.
    rewritten: Rewritten | None = None
    # The best passages for a generator, where they were asked for.
    context: Context | None = None


def search(
    collection: Collection,
    query: SearchQuery,
    config: SearchConfig | None = None,
    deadline: Deadline | None = None,
) -> SearchResult:
    """Search for one query.

    Args:
        collection: what is searched.
        query: what is asked.
        config: how; None: as it is made without settings.
        deadline: when to end, whatever ``config.time_budget_ms`` is; None: never.

    Raises:
        InputError: the query is empty or malformed.
        UsageError: the collection has no such field, or the query lacks what a field needs.
        AbandonedError: the deadline says that nobody waits any more.
    """
    return search_batch(collection, [query], config, deadline)[0]


def search_batch(
    collection: Collection,
    queries: Sequence[SearchQuery],
    config: SearchConfig | None = None,
    deadline: Deadline | None = None,
) -> list[SearchResult]:
    """Search for several queries over one state of the collection; results in their order.

    Each has the time budget of the configuration for itself.
    """
    started = time.perf_counter()
    config, deadline = config or SearchConfig(), deadline or Deadline()
    if config.time_budget_ms is not None:
        deadline = deadline.sooner(started + config.time_budget_ms * len(queries) / 1000)
    with collection.pinned() as view:
        return _search_view(view, queries, config, deadline, started)


def _search_view(
    view: View,
    queries: Sequence[SearchQuery],
    config: SearchConfig,
    deadline: Deadline,
    started: float,
) -> list[SearchResult]:
    times = StageTimes()
    plan = plan_search(view.fields, config)
    rewritten = _rewrite(view, plan, queries, config, deadline, times)
    asked = [query for each in rewritten for query in each.queries]
    with times.stage("encode"):
        encoded = {
            each.field.name: encode_query(view, each.field, asked, each.encoder)
            for each in plan.searches
        }
    deadline.passed()
    masks = None
    if config.filter is not None:
        with times.stage("filter"):
            masks = view.masks(config.filter)
    with times.stage("rank"):
        rankings = _rank(view, plan, encoded, masks, config, deadline)
    exact, gaps = _certificates(plan, rankings)
    documents = view.count_documents(masks or view.alive)
    results = []
    end = 0
    for query, again in zip(queries, rewritten, strict=True):
        place, end = end, end + len(again.queries)
        sources = {name: top.ranking(place) for name, top in rankings.items()}
        vectors = {name: rows[place] for name, rows in encoded.items()}
        ranking = _fuse(plan, config, rankings, range(place, end), times)
        page = ranking[config.offset : config.depth]
        late = deadline.passed()
        passages = {name: top.passages_of(place) for name, top in rankings.items()}
        with times.stage("hits"):
            hits = page_hits(
                view, again.queries[0], config, page, sources, vectors, deadline, passages
            )
        results.append(
            SearchResult(
                hits=hits,
                took_ms=1000 * (time.perf_counter() - started),
                using=plan.using,
                generation=view.generation,
                documents=documents,
                encoder={each.field.name: each.field.fingerprint for each in plan.searches},
                query_encoder=_query_encoders(plan),
                exact=bool(exact[place:end].all()),
                bound_gap=float(gaps[place:end].max()),
                strategies={name: top.strategies[place] for name, top in rankings.items()},
                query_terms=_query_terms(view, plan, vectors) if config.explain else {},
                unknown_tokens=_unknown_tokens(view, plan, query),
                timed_out=late or deadline.passed(),
                unknown_words=_unknown_words(view, plan, query) if config.payload else [],
                stages_ms=times.ms,
                rewritten=again if config.rewrite else None,
                context=_context(config, hits, times),
            )
        )
    return results


def _rank(
    view: View,
    plan: Plan,
    encoded: Mapping[str, Rows],
    masks: Masks | None,
    config: SearchConfig,
    deadline: Deadline,
) -> dict[str, TopK]:
    """The ranking of each field, for all queries; those of sparse fields share the time left.

    Raises:
        InputError: a score is beyond float32.
    """
    rankings = {}
    sparse = plan.sparse
    for each in plan.searches:
        deadline.passed()
        rows = encoded[each.field.name]
        if isinstance(rows, SparseBatch):
            left = (
                None if config.time_budget_ms is None else deadline.left_ms / (sparse * len(rows))
            )
            pruning = config.pruning(left)
            sparse -= 1
            top = view.search_sparse(each.field, rows, each.limit, config.engine, pruning, masks)
        else:
            top = view.search_dense(each.field, rows, each.limit, masks)
        if not np.isfinite(top.scores).all():
            raise InputError(
                f"a score in the field {each.field.name!r} is beyond 32 bits; give the query "
                "smaller numbers"
            )
        rankings[each.field.name] = top
    return rankings


def _fuse(
    plan: Plan,
    config: SearchConfig,
    rankings: Mapping[str, TopK],
    places: Sequence[int],
    times: StageTimes,
) -> Ranking:
    """The one ranking of a query, which may have become several: those are fused by RRF."""
    if not plan.fused and len(places) == 1:
        return rankings[plan.using].ranking(places[0])
    with times.stage("fuse"):
        found = []
        for place in places:
            sources = {name: top.ranking(place) for name, top in rankings.items()}
            found.append(config.fusion.fuse(sources) if plan.fused else sources[plan.using])
        if len(found) == 1:
            return found[0]
        return ReciprocalRankFusion().fuse({str(n): ranking for n, ranking in enumerate(found)})


def _context(config: SearchConfig, hits: Sequence[Hit], times: StageTimes) -> Context | None:
    if config.context_tokens is None:
        return None
    with times.stage("context"):
        return context_of(hits, config.context_tokens)


def _rewrite(
    view: View,
    plan: Plan,
    queries: Sequence[SearchQuery],
    config: SearchConfig,
    deadline: Deadline,
    times: StageTimes,
) -> list[Rewritten]:
    """What is searched in place of each query."""
    if not config.rewrite:
        return [Rewritten((query,)) for query in queries]
    fields = [each.field for each in plan.searches]
    with times.stage("rewrite"):
        return [rewrite(view, fields, config.rewrite, query, deadline) for query in queries]


def _certificates(
    plan: Plan, rankings: Mapping[str, TopK]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Of each query, whether all rankings are exact, and the largest gap; see SearchResult."""
    exact = [rankings[each.field.name].exact(each.limit) for each in plan.searches]
    gaps = [rankings[each.field.name].bound_gap(each.limit) for each in plan.searches]
    return np.logical_and.reduce(exact), np.max(gaps, axis=0)


def _query_encoders(plan: Plan) -> dict[str, str]:
    return {
        each.field.name: each.encoder.fingerprint
        for each in plan.searches
        if each.encoder is not None
    }


def _unknown_tokens(view: View, plan: Plan, query: SearchQuery) -> list[str]:
    found: dict[str, None] = {}
    for each in plan.searches:
        found |= unknown_tokens(view, each.field, query)
    return list(found)


def _unknown_words(view: View, plan: Plan, query: SearchQuery) -> list[str]:
    return unknown_words(view, [each.field for each in plan.searches], query)


def _query_terms(
    view: View, plan: Plan, vectors: Mapping[str, EncodedQuery]
) -> dict[str, list[tuple[str, float]]]:
    return {
        each.field.name: query_terms(view, each.field, vector)
        for each in plan.searches
        if isinstance(vector := vectors[each.field.name], SparseVector)
    }
