"""Which terms carried a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from index.collection.field import Field
from index.collection.view import View
from lsr.sparse import SparseVector


class Contribution(NamedTuple):
    """One term's part of a score: ``contribution`` = ``query_weight`` * ``document_weight``."""

    term: int
    token: str
    query_weight: float
    document_weight: float
    contribution: float


def contributions(
    view: View,
    name: str,
    query: SparseVector,
    sequence: Sequence[int],
) -> dict[int, list[Contribution]]:
    """For each document the terms it shares with the query, largest contribution first.

    The contributions of a document sum to its score, up to float rounding. The view is pinned.
    """
    field = view.fields.named(name)
    stored, impacts = view.scored_rows(field, sequence)
    spelled = view.tokens(field, query.indices.tolist())
    found = {}
    for number, row in zip(stored, impacts, strict=True):
        terms, in_query, in_row = np.intersect1d(
            query.indices, row.indices, assume_unique=True, return_indices=True
        )
        weights = row.values[in_row]
        products = query.values[in_query] * weights
        found[number] = [
            Contribution(
                int(terms[i]),
                spelled[int(terms[i])],
                float(query.values[in_query[i]]),
                float(weights[i]),
                float(products[i]),
            )
            for i in np.argsort(-products, kind="stable")
            if products[i] > 0
        ]
    return found


def query_terms(view: View, field: Field, query: SparseVector) -> list[tuple[str, float]]:
    """Token and weight of each term of a query, heaviest first."""
    order = np.argsort(-query.values, kind="stable")
    spelled = view.tokens(field, query.indices.tolist())
    return [(spelled[int(query.indices[i])], float(query.values[i])) for i in order]
