"""The second round of a search with feedback: which documents feed back, and what is asked then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.collection.field import Field
from index.collection.view import View
from index.engines.searcher import TopK
from index.search.feedback import Feedback, Rm3, VectorFeedback, is_common
from index.search.hits import best_places
from index.search.like import as_queries
from index.search.plan import FieldSearch, Plan
from index.search.query import check_scores_fit
from index.search.ranking import Rows
from lsr.sparse import SparseBatch, SparseVector

# One query to a field.
Row = SparseVector | NDArray[np.float32]
# Documents by number with their scores, best first.
Ranking = Sequence[tuple[int, float]]


class FirstRound(NamedTuple):
    """What documents of one query are taken from: a ranking, made of those by field.

    ``passages`` has the place of the best passage of each document that is split, by field.
    """

    ranking: Ranking
    sources: Mapping[str, Ranking]
    passages: Mapping[str, Mapping[int, int]]


@dataclass(frozen=True, slots=True)
class FedBack:
    """What feedback made of the queries to one field.

    ``rows`` has them, in their order; ``documents`` the numbers of those that fed back into each,
    best first.
    """

    rows: Rows
    documents: list[list[int]]


def feed_back(
    view: View,
    plan: Plan,
    encoded: Mapping[str, Rows],
    rankings: Mapping[str, TopK],
    together: Callable[[int], FirstRound],
) -> dict[str, FedBack]:
    """The queries of the second round, by field.

    A document that is split feeds back with its best passage: that which the field found, or where
    it found none, the best one in the ranking where the document comes first.

    Args:
        view: what is searched; it is pinned.
        plan: of the first round.
        encoded: its queries, by field.
        rankings: what it found, by field.
        together: all rankings fused, of the query at a place.

    Raises:
        InputError: a query has become too large for scores of 32 bits.
    """
    found: dict[str, tuple[list[Row], list[list[int]]]] = {}
    for place in range(len(next(iter(encoded.values())))):
        fused: FirstRound | None = None
        for each in plan.searches:
            feedback, name = each.feedback, each.field.name
            if feedback is None:
                continue
            if plan.fusion is not None and feedback.looks_at_fusion:
                first = fused = fused or together(place)
            else:
                own, passages = rankings[name].ranking(place), rankings[name].passages_of(place)
                first = FirstRound(own, {name: own}, {name: passages})
            chosen = first.ranking[: feedback.depth]
            numbers = [number for number, _ in chosen]
            best = best_places(numbers, first.sources, first.passages)
            places = best | dict(first.passages[name])
            rows = {number + places.get(number, 0): score for number, score in chosen}
            query = encoded[name][place]
            moved = (
                _moved_sparse(view, each.field, feedback, query, rows)
                if isinstance(query, SparseVector)
                else _moved_dense(view, each, feedback, query, rows)
            )
            queries, documents = found.setdefault(name, ([], []))
            queries.append(moved)
            documents.append(numbers)
    return {name: FedBack(_rows(encoded[name], rows), fed) for name, (rows, fed) in found.items()}


def _moved_dense(
    view: View,
    search: FieldSearch,
    feedback: Feedback,
    query: NDArray[np.float32],
    scores: Mapping[int, float],
) -> NDArray[np.float32]:
    """A query to a dense field, moved towards rows by number."""
    assert isinstance(feedback, VectorFeedback)
    field = search.field
    found = view.dense_rows(field, list(scores))
    vectors = np.array([found[row] for row in scores if row in found], dtype=np.float32)
    rows = view.fields.as_queries(field, vectors.reshape(-1, field.size), search.dense_weight)
    moved = feedback.dense(query, rows)
    check_scores_fit(moved, "value")
    return moved


def _moved_sparse(
    view: View,
    field: Field,
    feedback: Feedback,
    query: SparseVector,
    scores: Mapping[int, float],
) -> SparseVector:
    """A query to a sparse field, moved towards rows by number."""
    if isinstance(feedback, VectorFeedback):
        _, rows = view.scored_rows(field, list(scores))
        moved = feedback.sparse(query, as_queries(view, field, rows))
    else:
        assert isinstance(feedback, Rm3)
        moved = _relevant(view, field, feedback, query, scores)
    check_scores_fit(moved.values, "weight")
    return moved


def _relevant(
    view: View, field: Field, feedback: Rm3, query: SparseVector, scores: Mapping[int, float]
) -> SparseVector:
    """A query to a field of counts after RM3, which sees counts alone: the IDF comes after it."""
    statistics = view.statistics(field)
    stored = view.store.vectors.sound_rows(field, list(scores))
    counts = view.fields.encoder(field).content(
        SparseBatch.from_rows(stored.values(), view.terms(field))
    )
    frequency = statistics.document_frequency
    common = is_common(
        frequency[np.minimum(counts.indices, len(frequency) - 1)], statistics.documents
    )
    rows = counts.keep(~common)
    asked = replace(query, values=query.values / statistics.idf_of(query.indices))
    model = feedback.relevance(asked, rows, [scores[row] for row in stored])
    return replace(model, values=model.values * statistics.idf_of(model.indices))


def _rows(before: Rows, rows: Sequence[Row]) -> Rows:
    if isinstance(before, SparseBatch):
        sparse = [row for row in rows if isinstance(row, SparseVector)]
        return SparseBatch.from_rows(sparse, before.vocabulary_size)
    return np.array(rows, dtype=np.float32).reshape(before.shape)
