"""The first stages of a search: its queries are encoded, and each field is ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from index.collection.view import View
from index.engines.document_mask import Masks
from index.engines.searcher import TopK
from index.search.config import SearchConfig
from index.search.deadline import Deadline
from index.search.plan import Plan
from index.search.query import SearchQuery, encode_query
from lsr.errors import InputError
from lsr.sparse import SparseBatch

Rows = SparseBatch | NDArray[np.float32]
# Documents by number with their scores, best first.
Ranking = list[tuple[int, float]]


def encode(view: View, plan: Plan, queries: Sequence[SearchQuery]) -> dict[str, Rows]:
    """The rows of each field, one for each query."""
    return {
        each.field.name: encode_query(view, each.field, queries, each.encoder)
        for each in plan.searches
    }


def rank(
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
    rows_of_view = sum(map(len, view.segments))
    for each in plan.searches:
        deadline.passed()
        rows = encoded[each.field.name]
        limit = min(each.limit, max(rows_of_view, 1))
        if isinstance(rows, SparseBatch):
            left = (
                None if config.time_budget_ms is None else deadline.left_ms / (sparse * len(rows))
            )
            pruning = config.pruning(left)
            sparse -= 1
            top = view.search_sparse(each.field, rows, limit, config.engine, pruning, masks)
        else:
            top = view.search_dense(each.field, rows, limit, masks)
        if not np.isfinite(top.scores).all():
            raise InputError(
                f"a score in the field {each.field.name!r} is beyond 32 bits; give the query "
                "smaller numbers"
            )
        rankings[each.field.name] = top
    return rankings


def certificates(
    plan: Plan, rankings: Mapping[str, TopK]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Of each query, whether all rankings are exact, and the largest gap; see SearchResult."""
    exact = [rankings[each.field.name].exact(each.limit) for each in plan.searches]
    gaps = [rankings[each.field.name].bound_gap(each.limit) for each in plan.searches]
    return np.logical_and.reduce(exact), np.max(gaps, axis=0)
