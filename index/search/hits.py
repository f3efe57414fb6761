"""Hits: what a ranking found, with documents, marked words, and the terms that carried a score."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from index.collection.view import View
from index.search.config import SearchConfig
from index.search.explain import Contribution, contributions
from index.search.highlight import Highlight, highlight
from index.search.query import EncodedQuery, SearchQuery
from lsr.corpus.documents import Document
from lsr.encoders.encoder import SparseEncoder
from lsr.sparse import SparseVector

# A term is marked where it carried this share of what the heaviest one of its field did.
MARKED_SHARE = 1 / 4
# For each field, and in it for each document by its number, the terms that carried the score.
Terms = Mapping[str, Mapping[int, list[Contribution]]]


@dataclass(frozen=True, slots=True)
class Hit:
    """One result."""

    # Of the document.
    id: str
    # Of the last ranking, by which hits are in order.
    score: float
    # In each ranking that found it, by the name of the field.
    scores: dict[str, float]
    # None where it wasn't asked for.
    document: Document | None = None
    # Of title and text, where they were asked for.
    highlights: list[Highlight] = dataclasses.field(default_factory=list)
    # By sparse field, heaviest first, where they were asked for.
    terms: dict[str, list[Contribution]] = dataclasses.field(default_factory=dict)


def page_hits(
    view: View,
    query: SearchQuery,
    config: SearchConfig,
    page: Sequence[tuple[int, float]],
    sources: Mapping[str, Sequence[tuple[int, float]]],
    vectors: Mapping[str, EncodedQuery],
) -> list[Hit]:
    """The hits of one page of a ranking, in its order.

    Args:
        view: what was searched; it is pinned.
        query: what was asked.
        config: what hits are to hold.
        page: documents by number, with their scores.
        sources: the ranking of each field that was searched.
        vectors: of the query, for each of these fields.
    """
    numbers = [number for number, _ in page]
    documents = view.store.documents(numbers) if config.payload else {}
    ids = {} if config.payload else view.store.ids(numbers)
    terms = _terms(view, config, numbers, vectors)
    marks = _marks(view, query, documents, terms) if config.highlight else {}
    scores = {name: dict(source) for name, source in sources.items()}
    return [
        Hit(
            documents[number].id if config.payload else ids[number],
            score,
            {name: source[number] for name, source in scores.items() if number in source},
            documents.get(number),
            marks.get(number, []),
            _of(number, terms) if config.explain else {},
        )
        for number, score in page
    ]


def _terms(
    view: View,
    config: SearchConfig,
    numbers: Sequence[int],
    vectors: Mapping[str, EncodedQuery],
) -> Terms:
    """The terms that carried the scores, where marks or explanations need them."""
    if not (config.explain or (config.highlight and config.payload)):
        return {}
    return {
        name: contributions(view, name, vector, numbers)
        for name, vector in vectors.items()
        if isinstance(vector, SparseVector)
    }


def _of(number: int, terms: Terms) -> dict[str, list[Contribution]]:
    """The terms of one document by field."""
    return {name: found[number] for name, found in terms.items() if number in found}


def _marks(
    view: View, query: SearchQuery, documents: Mapping[int, Document], terms: Terms
) -> dict[int, list[Highlight]]:
    """Title and text of each document, with the words marked that carried the score."""
    if not documents:
        return {}
    first = next(field for field in view.fields if field.kind == "sparse")
    encoder = view.fields.encoder(first)
    return {
        number: _highlights(query, document, _of(number, terms), encoder)
        for number, document in documents.items()
    }


def _highlights(
    query: SearchQuery,
    document: Document,
    terms: Mapping[str, Sequence[Contribution]],
    encoder: SparseEncoder,
) -> list[Highlight]:
    """Title and text with the words marked that carried the score, or are in the query."""
    weights: dict[str, float] = {}
    if query.text and not terms:
        weights = {piece.token: 1.0 for piece in encoder.occurrences(query.text)}
    for matched in terms.values():
        largest = max((term.contribution for term in matched), default=0.0)
        for term in matched:
            if term.contribution >= MARKED_SHARE * largest:
                weights[term.token] = term.contribution / largest
    return [
        highlight(name, text, weights, encoder.occurrences)
        for name, text in (("title", document.title), ("text", document.text))
        if text
    ]
