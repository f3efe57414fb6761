"""The first stages of a search: its queries are encoded, and each field is ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from index.collection.view import Passing, View
from index.engines.searcher import TopK
from index.search.at_once import at_once
from index.search.config import SearchConfig
from index.search.deadline import Deadline
from index.search.like import Like
from index.search.plan import FieldSearch, Plan
from index.search.query import SearchQuery, encode_query
from lsr.encoding.query_batches import encoding_by
from lsr.errors import InputError
from lsr.sparse import SparseBatch

Rows = SparseBatch | NDArray[np.float32]
# Documents by number with their scores, best first.
Ranking = list[tuple[int, float]]


def encode(
    view: View,
    plan: Plan,
    queries: Sequence[SearchQuery],
    like: Like | None = None,
    deadline: Deadline | None = None,
) -> dict[str, Rows]:
    """The rows of each field; those of dense fields while this thread encodes the others.

    Where documents are what is asked with, there is one query.

    Raises:
        AbandonedError: the deadline says that nobody waits any more.
        OverloadedError: too many wait for a model.
    """
    wait = (deadline or Deadline()).wait

    def encoded(each: FieldSearch) -> Rows:
        if like is not None:
            query = like.as_query(view, each.field, each.dense_weight)
            return encode_query(view, each.field, [query], each.encoder)
        with encoding_by(view.fields.batches, wait):
            return encode_query(view, each.field, queries, each.encoder, each.dense_weight)

    dense = [each for each in plan.searches if each.field.kind == "dense"]
    sparse = [each for each in plan.searches if each.field.kind == "sparse"]
    found = at_once(*([partial(encoded, each) for each in part] for part in (dense, sparse)))
    rows = {each.field.name: row for each, row in zip((*dense, *sparse), found, strict=True)}
    return {each.field.name: rows[each.field.name] for each in plan.searches}


def rank(
    view: View,
    plan: Plan,
    encoded: Mapping[str, Rows],
    masks: Passing | None,
    config: SearchConfig,
    deadline: Deadline,
    share: float = 1.0,
) -> dict[str, TopK]:
    """The ranking of each field, for all queries, at the same time.

    Approximate search may take ``share`` of the time that is left.

    Raises:
        InputError: a score is beyond float32.
    """
    rows_of_view = max(1, view.rows)

    def ranked(each: FieldSearch) -> TopK:
        rows, limit = encoded[each.field.name], min(each.limit, rows_of_view)
        if not isinstance(rows, SparseBatch):
            return view.search_dense(each.field, rows, limit, masks)
        left = None if config.time_budget_ms is None else share * deadline.left_ms / len(rows)
        pruning = config.pruning(left)
        return view.search_sparse(each.field, rows, limit, config.engine, pruning, masks)

    deadline.passed()
    found = at_once([partial(ranked, each) for each in plan.searches])
    rankings = {each.field.name: top for each, top in zip(plan.searches, found, strict=True)}
    for name, top in rankings.items():
        if not np.isfinite(top.scores).all():
            raise InputError(
                f"a score in the field {name!r} is beyond 32 bits; give the query smaller numbers"
            )
    return rankings


def certificates(
    rounds: Sequence[tuple[Plan, Mapping[str, TopK]]],
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Of each query, whether all rankings are exact, and the largest gap; see SearchResult."""
    tops = [
        (rankings[each.field.name], each.limit)
        for plan, rankings in rounds
        for each in plan.searches
    ]
    exact = [top.exact(limit) for top, limit in tops]
    gaps = [top.bound_gap(limit) for top, limit in tops]
    return np.logical_and.reduce(exact), np.max(gaps, axis=0)
