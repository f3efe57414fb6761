"""The one query path: plan, rewrite, encode, rank, feed back, fuse, re-rank, arrange, hits.

Command line, REST and evaluation all call ``search``, so what is measured is what is served.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from index.collection.view import Passing, Searchable, View
from index.engines.searcher import TopK
from index.search.answering import Answering
from index.search.arranging import config_warnings, count_filtered
from index.search.config import SearchConfig
from index.search.cursor import Cursor
from index.search.deadline import Deadline
from index.search.defaults import with_defaults
from index.search.fusing import fuse, sources_of
from index.search.like import Like
from index.search.plan import Plan, plan_search
from index.search.query import SearchQuery
from index.search.ranking import Rows, certificates, encode, rank
from index.search.rerank import RerankStage
from index.search.result import SearchResult
from index.search.rewriting import Rewritten, rewrite
from index.search.second_round import FedBack, FirstRound, feed_back
from index.search.stage_times import StageTimes


def search(
    collection: Searchable,
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
    collection: Searchable,
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
        if any(query.like is not None for query in queries):
            # Each leaves other documents out.
            return [
                answer
                for query in queries
                for answer in search_view(view, [query], config, deadline, started)
            ]
        return search_view(view, queries, config, deadline, started)


def search_view(
    view: View,
    queries: Sequence[SearchQuery],
    config: SearchConfig,
    deadline: Deadline,
    started: float,
    only: Sequence[int] | None = None,
) -> list[SearchResult]:
    """As ``search_batch``, over a view that is pinned.

    ``started`` is when the search began; of the rows of vectors, ``only`` those of these numbers
    are searched, whatever the filter is; None: all.
    """
    times = StageTimes()
    config = with_defaults(view, config)
    plan = plan_search(view.fields, config)
    depth = {each.field.name: each.limit for each in plan.searches} if plan.fusion else {}
    cursor = Cursor.of_search(view, queries, config)
    if cursor is not None:
        plan = cursor.deepened(view, plan)
    rerank = None if config.rerank is None else RerankStage.prepared(view, config.rerank)
    rewritten = _rewrite(view, plan, queries, config, deadline, times)
    with times.stage("encode"):
        like = Like.of_query(view, queries[0])
        asked = [query for each in rewritten for query in each.queries]
        encoded = encode(view, plan, asked, like, deadline)
    deadline.passed()
    masks = None
    if config.filter is not None:
        with times.stage("filter"):
            masks = view.masks(config.filter)
    if only is not None:
        masks = view.only(only)
    if like is not None:
        masks = like.left_out(view, masks)
    rounds = _rank(view, plan, encoded, masks, config, deadline, times)
    exact, gaps = certificates(rounds.ranked)
    answer_plan, rankings = rounds.ranked[-1]
    answering = Answering(
        view=view,
        config=config,
        plan=plan,
        answer_plan=answer_plan,
        encoded=rounds.encoded,
        rankings=rankings,
        exact=exact,
        gaps=gaps,
        fed=rounds.fed,
        masks=masks,
        documents=view.count_documents(masks),
        warnings=[*config_warnings(view, config), *view.caveats],
        depth=depth,
        filtered=count_filtered(view, config, masks, times),
        cursor=cursor,
        rerank=rerank,
        deadline=deadline,
        times=times,
        started=started,
    )
    results, end = [], 0
    for query, again in zip(queries, rewritten, strict=True):
        start, end = end, end + len(again.queries)
        results.append(answering.answer(query, again, range(start, end)))
    return results


@dataclass(frozen=True)
class _Rounds:
    """The rankings of all rounds, the last of which make the answer; its queries; what fed back."""

    ranked: list[tuple[Plan, Mapping[str, TopK]]]
    encoded: Mapping[str, Rows]
    fed: Mapping[str, FedBack]


def _rank(
    view: View,
    plan: Plan,
    encoded: Mapping[str, Rows],
    masks: Passing | None,
    config: SearchConfig,
    deadline: Deadline,
    times: StageTimes,
) -> _Rounds:
    """Rank each field, and again what feedback asks for."""
    second = plan.second
    with times.stage("rank"):
        share = 0.5 if second.searches else 1.0
        rankings = rank(view, plan.first, encoded, masks, config, deadline, share)
    if not second.searches:
        return _Rounds([(plan, rankings)], encoded, {})

    def together(place: int) -> FirstRound:
        sources = sources_of(view, plan, rankings, encoded, place, config.engine, StageTimes())
        fused = fuse(plan, [sources.rankings], StageTimes())
        return FirstRound(fused, sources.rankings, sources.passages)

    with times.stage("feedback"):
        fed = feed_back(view, plan, encoded, rankings, together)
        asked = {**encoded, **{name: each.rows for name, each in fed.items()}}
        answer = plan.answer
        limits = {each.field.name: each.limit for each in answer.searches}
        kept = {name: rankings[name].cut(limit) for name, limit in limits.items()}
        again = kept | rank(view, second, asked, masks, config, deadline)
    return _Rounds([(plan.first, rankings), (answer, again)], asked, fed)


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
