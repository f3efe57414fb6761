"""Rankings of Qdrant made those of every engine: in the order of writing where scores tie.

Qdrant keeps no order among points of the same score, and sums products in an order of its own. So
more points are asked for until those that could belong to the first k are surely there, and the
scores of those that differ by no more than rounding are computed as all engines compute them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.engines.searcher import TopK
from index.qdrant.layout import MOST_PLACES
from index.qdrant.port import Found
from lsr.sparse import SparseVector

# Points asked for at once, at most, for the sake of a tie; and times more each time.
MOST_TIED, MORE = 100_000, 4
# Points asked for at first beyond those wanted: few ties need a second call then.
AHEAD = 10
# Of so many points at most, in a row, that differ by rounding, scores are computed anew.
MOST_SCORED = 2_000
# Largest relative difference of two sums of n products that are equal but for their order, over n.
ROUNDING = 2.0**-22

# Asks again for some queries, by their places, for so many points.
Search = Callable[[Sequence[int], int], Sequence[Found]]
# The rows of some numbers that are there.
Rows = Callable[[Sequence[int]], Mapping[int, SparseVector]]


class _Ranking(NamedTuple):
    """Documents, best first, their scores and best passages; and how much an unseen one scores."""

    documents: NDArray[np.int64]
    scores: NDArray[np.float32]
    places: NDArray[np.int64]
    unseen: float


def top_of(
    search: Search,
    queries: int,
    k: int,
    split: bool,
    last: int,
    positive: bool,
    exactly: Callable[[int], tuple[SparseVector, Rows]] | None = None,
) -> TopK:
    """The top k documents of queries.

    Args:
        search: finds points; for the first time for all queries.
        queries: how many.
        k: documents wanted for each, at least 1.
        split: whether documents may have several rows, of which the best counts.
        last: rows with a larger number don't count.
        positive: whether only scores above 0 do.
        exactly: of a query by its place, the row and what gives rows of documents; None: the
            scores of Qdrant are taken as they are.
    """
    wanted = _limit((2 * k if split else k) + AHEAD)
    found = dict(enumerate(search(range(queries), wanted)))
    done: dict[int, _Ranking] = {}
    while found:
        left = {}
        for query, points in found.items():
            ranking = _ranking(points, wanted, k, last, positive, exactly and exactly(query))
            if ranking is None:
                left[query] = points
            else:
                done[query] = ranking
        if not left:
            break
        wanted = _limit(MORE * wanted)
        found = dict(zip(left, search(list(left), wanted), strict=True))
    return _together([done[query] for query in range(queries)], split)


def _limit(wanted: int) -> int:
    """One more than what is wanted tells whether there are others."""
    return wanted + 1


def _ranking(
    points: Found,
    asked: int,
    k: int,
    last: int,
    positive: bool,
    exactly: tuple[SparseVector, Rows] | None,
) -> _Ranking | None:
    """The first k documents of points; None where more points must be asked for."""
    whole = len(points.numbers) < asked
    lowest = float(points.scores.min()) if len(points.scores) else 0.0
    kept = points.numbers <= last
    if positive:
        kept &= points.scores > 0
        whole |= lowest <= 0
    numbers, scores = points.numbers[kept], points.scores[kept]
    slack = 0.0 if exactly is None else ROUNDING * len(exactly[0])
    numbers, scores = _ordered(numbers, scores)
    first = _first_of_documents(numbers)
    unseen = 0.0
    if not whole:
        reached = scores[first][k - 1 : k]
        sure = len(reached) and lowest < reached[0] - slack * abs(float(reached[0]))
        if not sure:
            if asked < MOST_TIED:
                return None
            unseen = lowest
    if exactly is not None and len(exactly[0]) > 2 and len(numbers):
        end = int(np.flatnonzero(first)[:k][-1]) + 1
        scores = _scored(numbers, scores, end, slack, *exactly)
        numbers, scores = _ordered(numbers, scores)
        first = _first_of_documents(numbers)
    numbers, scores = numbers[first][:k], scores[first][:k]
    places = numbers & (MOST_PLACES - 1)
    return _Ranking(numbers - places, scores, places, unseen)


def _ordered(
    numbers: NDArray[np.int64], scores: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    order = np.lexsort((numbers, -scores))
    return numbers[order], scores[order]


def _first_of_documents(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows, best first, are the first of their document."""
    first = np.zeros(len(numbers), dtype=np.bool_)
    first[np.unique(numbers & ~np.int64(MOST_PLACES - 1), return_index=True)[1]] = True
    return first


def _scored(
    numbers: NDArray[np.int64],
    scores: NDArray[np.float32],
    end: int,
    slack: float,
    query: SparseVector,
    rows_of: Rows,
) -> NDArray[np.float32]:
    """The scores, exactly where they are near others; of runs that begin before place ``end``."""
    near = scores[:-1] - scores[1:] <= slack * np.abs(scores[:-1])
    starts = np.flatnonzero(np.concatenate([[True], ~near]))
    ends = np.append(starts[1:], len(scores))
    runs = [
        np.arange(start, stop)
        for start, stop in zip(starts.tolist(), ends.tolist(), strict=True)
        if start < end and 1 < stop - start <= MOST_SCORED
    ]
    if not runs:
        return scores
    places = np.concatenate(runs)
    rows = rows_of(numbers[places].tolist())
    exact = scores.copy()
    for place in places.tolist():
        row = rows.get(int(numbers[place]))
        if row is not None:
            exact[place] = exact_score(query, row)
    return exact


def exact_score(query: SparseVector, row: SparseVector) -> np.float32:
    """The float32 sum of float32 products in ascending order of terms, as ``Searcher`` says."""
    _, asked, held = np.intersect1d(
        query.indices, row.indices, assume_unique=True, return_indices=True
    )
    products = query.values[asked] * row.values[held]
    total = np.add.accumulate(products, dtype=np.float32)
    return np.float32(total[-1]) if len(total) else np.float32(0)


def _together(rankings: Sequence[_Ranking], split: bool) -> TopK:
    width = max((len(each.documents) for each in rankings), default=0)
    documents = np.full((len(rankings), width), -1, dtype=np.int64)
    scores = np.zeros((len(rankings), width), dtype=np.float32)
    places = np.zeros((len(rankings), width), dtype=np.int64)
    for row, each in enumerate(rankings):
        size = len(each.documents)
        documents[row, :size] = each.documents
        scores[row, :size] = each.scores
        places[row, :size] = each.places
    unseen = np.array([each.unseen for each in rankings], dtype=np.float32)
    strategies = ("qdrant",) * len(rankings)
    return TopK(documents, scores, unseen, strategies, places if split else None)


def spread(top: TopK, places: Sequence[int], queries: int) -> TopK:
    """The rankings of all queries, of which those at some places were searched for."""
    if len(places) == queries:
        return top
    width = top.documents.shape[1]
    documents = np.full((queries, width), -1, dtype=np.int64)
    scores = np.zeros((queries, width), dtype=np.float32)
    passages = np.zeros((queries, width), dtype=np.int64)
    unseen = np.zeros(queries, dtype=np.float32)
    documents[places], scores[places], unseen[places] = top.documents, top.scores, top.unseen
    if top.passages is not None:
        passages[places] = top.passages
    strategies = ("qdrant",) * queries
    split = None if top.passages is None else passages
    return TopK(documents, scores, unseen, strategies, split)
