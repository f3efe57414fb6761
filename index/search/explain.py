"""Which terms carried a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.collection.field import Field
from index.collection.view import View
from lsr.encoders.encoder import SparseEncoder
from lsr.sparse import SparseVector


class Contribution(NamedTuple):
    """One term's part of a score: ``contribution`` = ``query_weight`` * ``document_weight``."""

    term: int
    token: str
    query_weight: float
    document_weight: float
    contribution: float


class QueryWord(NamedTuple):
    """A word of a query as it is written, and the terms that it has in a field, spelled."""

    word: str
    tokens: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class MatchedTerms:
    """The parts that the terms of a query have in the scores of some rows of a field.

    ``tokens`` are those of the query's terms. ``weights`` of them in the rows, and ``products`` of
    these with the query's, are float32 (rows, terms).
    """

    query: SparseVector
    tokens: list[str]
    weights: NDArray[np.float32]
    products: NDArray[np.float32]

    def contributions(self, row: int) -> list[Contribution]:
        """The terms that a row shares with the query, largest contribution first.

        The contributions sum to its score, up to float rounding.
        """
        products, weights, query = self.products[row], self.weights[row], self.query
        return [
            Contribution(
                int(query.indices[i]),
                self.tokens[i],
                float(query.values[i]),
                float(weights[i]),
                float(products[i]),
            )
            for i in np.argsort(-products, kind="stable")
            if products[i] > 0
        ]

    def shares(self, least: float) -> list[dict[str, float]]:
        """For each row, what the terms carried as a share of what the heaviest one did.

        Of the terms with at least the share ``least``, which is above 0.
        """
        found = []
        for products in self.products.tolist():
            largest = max(products, default=0.0)
            floor = least * largest
            found.append(
                {
                    token: product / largest
                    for token, product in zip(self.tokens, products, strict=True)
                    if product >= floor
                }
                if largest > 0
                else {}
            )
        return found


def matched_terms(view: View, name: str, query: SparseVector, rows: Sequence[int]) -> MatchedTerms:
    """What the terms of a query carried in some rows of a sparse field, by their numbers.

    The view is pinned.
    """
    field = view.fields.named(name)
    spelled = view.tokens(field, query.indices.tolist())
    weights = view.weights(field, rows, query.indices)
    tokens = [spelled[term] for term in query.indices.tolist()]
    return MatchedTerms(query, tokens, weights, weights * query.values)


def query_terms(view: View, field: Field, query: SparseVector) -> list[tuple[str, float]]:
    """Token and weight of each term of a query, heaviest first."""
    order = np.argsort(-query.values, kind="stable")
    spelled = view.tokens(field, query.indices.tolist())
    return [(spelled[int(query.indices[i])], float(query.values[i])) for i in order]


def query_words(encoder: SparseEncoder, texts: Sequence[str]) -> list[QueryWord]:
    """The distinct words of the texts of a query, in their order, with the terms they are made of.

    A term of the query that no word has was added to it, by its encoder or by feedback.
    """
    found: dict[str, dict[str, None]] = {}
    for text in texts:
        # An encoder may have several words at one place.
        places: dict[tuple[int, int], list[str]] = {}
        for _, group in groupby(encoder.occurrences(text), key=lambda piece: piece.word):
            pieces = list(group)
            tokens = [piece.token for piece in pieces]
            places.setdefault((pieces[0].start, pieces[-1].end), []).extend(tokens)
        for (start, end), tokens in sorted(places.items()):
            found.setdefault(text[start:end], {}).update(dict.fromkeys(tokens))
    return [QueryWord(word, list(tokens)) for word, tokens in found.items()]
