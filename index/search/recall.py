"""How much of the exact answer each effort finds, and in what time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from index.collection.field import Field
from index.collection.view import View
from index.engines.effort import pruning_of
from index.engines.searcher import EXACT, Pruning, TopK
from lsr.errors import InputError
from lsr.sparse import SparseBatch

IdT = TypeVar("IdT", int, str)
EFFORTS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
# Medians whose ratio is no larger are a matter of chance.
ALIKE = 1.05


@dataclass(frozen=True, slots=True)
class EffortResult:
    """What one effort gave. ``recall`` is the mean of R@k; ``exact`` the share of queries whose
    answer was certified; times are of the engines' search alone, one query at a time.
    """

    effort: float
    recall: float
    exact: float
    median_ms: float
    p95_ms: float


def measure_recall(
    view: View,
    field: Field,
    queries: SparseBatch,
    k: int,
    engine: str = "native",
    efforts: Sequence[float] = EFFORTS,
    on_query: Callable[[int], None] = lambda done: None,
) -> list[EffortResult]:
    """Compare each effort with exact search, query by query.

    Exact search runs first, untimed, so that nothing timed meets cold caches, and each query goes
    through all efforts before the next, so that a busy machine slows all alike.

    Args:
        view: what is searched.
        field: a sparse field of it.
        queries: encoded; those that find nothing at all are left out.
        k: length of the rankings.
        engine: which is measured.
        efforts: each above 0, at most 1.
        on_query: takes the number of queries done.

    Returns:
        A result for each effort, in their order.

    Raises:
        InputError: no query finds anything.
    """
    prunings = [pruning_of(effort, None) for effort in efforts]
    recalls: list[list[float]] = [[] for _ in efforts]
    certified: list[list[bool]] = [[] for _ in efforts]
    times: list[list[float]] = [[] for _ in efforts]
    for done, row in enumerate(queries, start=1):
        query = SparseBatch.from_rows([row], view.terms(field))
        exact = view.search_sparse(field, query, k, engine, EXACT).ranking(0)
        for place, pruning in enumerate(prunings if exact else ()):
            top, milliseconds = _timed(view, field, query, k, engine, pruning)
            recalls[place].append(recall(exact, top.ranking(0)))
            certified[place].append(bool(top.exact(k)[0]))
            times[place].append(milliseconds)
        on_query(done)
    if not times[0]:
        raise InputError("no query finds any document; give queries that do")
    return [
        EffortResult(
            effort,
            float(np.mean(recalls[place])),
            float(np.mean(certified[place])),
            float(np.median(times[place])),
            float(np.percentile(times[place], 95)),
        )
        for place, effort in enumerate(efforts)
    ]


def recall(exact: Sequence[tuple[IdT, float]], found: Sequence[tuple[IdT, float]]) -> float:
    """Share of an exact ranking of at least one document that a ranking of no more has found.

    One that is found counts where it is in the exact ranking or scores as its last: which of
    several ties comes last is no quality of an answer.
    """
    documents = {document for document, _ in exact}
    last = exact[-1][1]
    good = sum(document in documents or score >= last for document, score in found)
    return good / len(exact)


def cheapest(results: Sequence[EffortResult], wanted: float) -> EffortResult | None:
    """The fastest effort that has the recall; None where none has.

    Of those that take about as long (median within a twentieth), the highest.
    """
    enough = [result for result in results if result.recall >= wanted]
    if not enough:
        return None
    fastest = min(result.median_ms for result in enough)
    alike = [result for result in enough if result.median_ms <= ALIKE * fastest]
    return max(alike, key=lambda result: result.effort)


def _timed(
    view: View, field: Field, query: SparseBatch, k: int, engine: str, pruning: Pruning
) -> tuple[TopK, float]:
    started = time.perf_counter()
    top = view.search_sparse(field, query, k, engine, pruning)
    return top, 1000 * (time.perf_counter() - started)
