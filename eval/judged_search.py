"""Judged queries searched in a collection as it is, and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from eval.measures import STANDARD, measured, parse_measures
from eval.ranking import rank_queries
from eval.run import Run
from index.collection.writable import Writable
from index.search.config import SearchConfig
from index.search.deadline import Deadline
from lsr.corpus.documents import Query
from lsr.corpus.qrels import Qrels
from lsr.errors import InputError

AT_ONCE = 16


@dataclass(frozen=True)
class Judged:
    """The measures of a search: means over all judged queries, and by query where asked for."""

    using: str
    documents: int
    queries: int
    measures: dict[str, float]
    per_query: dict[str, dict[str, float]] | None
    ms_per_query: float
    run: Run = field(repr=False)


def judge_search(
    collection: Writable,
    queries: Mapping[str, str],
    qrels: Qrels,
    config: SearchConfig,
    measures: Sequence[str] = STANDARD,
    by_query: bool = False,
    deadline: Deadline | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Judged:
    """Search for queries and measure the rankings.

    Args:
        collection: what is searched.
        queries: texts by id; one without words finds nothing, which counts as 0.
        qrels: grades of documents by query; those of other queries are searched, and don't count.
        config: how is searched.
        measures: such as ``nDCG@10``.
        by_query: whether each query has its values.
        deadline: when all must have been searched.
        progress: told how many of how many queries with words have been searched.

    Raises:
        InputError: a judged query has no text, or the time is up.
        UsageError: a measure is unknown, or the collection can't be searched so.
    """
    check_judged(queries, qrels, measures)
    asked = [Query(name, text) for name, text in queries.items()]
    blank = sum(not query.text.strip() for query in asked)
    ranked = rank_queries(
        collection,
        asked,
        config,
        at_a_time=AT_ONCE,
        deadline=deadline,
        on_queries=lambda done: progress(done - blank, len(asked) - blank),
    )
    run = ranked.run
    values = measured(qrels, run, measures)
    return Judged(
        using=ranked.using,
        documents=len(collection),
        queries=len(qrels),
        measures=values.means,
        per_query={
            name: {each: found[name] for each, found in values.per_query.items()} for name in qrels
        }
        if by_query
        else None,
        ms_per_query=1000 * ranked.seconds / max(len(queries), 1),
        run=run,
    )


def check_judged(queries: Mapping[str, str], qrels: Qrels, measures: Sequence[str]) -> None:
    """Go on if these can be measured.

    Raises:
        InputError: a judged query has no text.
        UsageError: a measure is unknown.
    """
    parse_measures(measures)
    for name in qrels:
        if name not in queries:
            raise InputError(
                f"the query {name!r} is judged, and there is no text of it; give it, or leave its "
                "grades out"
            )
