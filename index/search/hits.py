"""Hits: what a ranking found, with documents, marked words, and the terms that carried a score."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from index.collection.view import View
from index.search.config import SearchConfig
from index.search.deadline import Deadline
from index.search.explain import Contribution, MatchedTerms, matched_terms
from index.search.grouping import GroupValue
from index.search.highlight import Highlight, Highlighter, TextToMark
from index.search.payload import select_parts
from index.search.query import EncodedQuery, SearchQuery
from lsr.corpus.documents import Document
from lsr.errors import InputError
from lsr.sparse import SparseVector

# A term is marked where it carried this share of what the heaviest one of its field did.
MARKED_SHARE = 1 / 4
# Documents that are fetched, or whose terms are found, before the next look at the deadline.
AT_ONCE = 64
# For each field, the terms that carried the score of documents: their numbers, and what is of each.
Terms = Mapping[str, Sequence[tuple[Sequence[int], MatchedTerms]]]


@dataclass(frozen=True, slots=True)
class HitPassage:
    """The best passage of a document that is split: the ``number``-th of ``count``, from 1 on."""

    number: int
    count: int
    # The characters [start, end) of the document's text.
    start: int
    end: int
    # What stands over it, and its page, counted from 1, where they are known.
    heading: str = ""
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One result."""

    # Of the document.
    id: str
    # Of the last ranking, by which hits are in order.
    score: float
    # In each ranking that found it, by the name of the field.
    scores: dict[str, float]
    # None where it wasn't asked for, or is damaged.
    document: Document | None = None
    # Of title and text, where they were asked for.
    highlights: list[Highlight] = dataclasses.field(default_factory=list)
    # By sparse field, heaviest first, where they were asked for.
    terms: dict[str, list[Contribution]] = dataclasses.field(default_factory=dict)
    # None where the document is not split.
    passage: HitPassage | None = None
    # The value of the group that it is in, where groups were asked for; None: of the documents
    # without one.
    group: GroupValue = None
    # The dimensions and phrases of the query that it is in, where dimensions were asked for.
    cells: list[tuple[str, str]] = dataclasses.field(default_factory=list)


def page_hits(
    view: View,
    query: SearchQuery,
    config: SearchConfig,
    page: Sequence[tuple[int, float]],
    sources: Mapping[str, Sequence[tuple[int, float]]],
    vectors: Mapping[str, EncodedQuery],
    deadline: Deadline,
    best: Mapping[str, Mapping[int, int]] | None = None,
) -> list[Hit]:
    """The hits of one page of a ranking, in its order.

    Args:
        view: what was searched; it is pinned.
        query: what was asked.
        config: what hits are to hold.
        page: documents by number, with their scores.
        sources: the ranking of each field that was searched.
        vectors: of the query, for each of these fields.
        deadline: once it has passed, hits get neither marks nor terms.
        best: for each field, the place of the best passage in each document that is split, from 0
            on; that of a hit is from the field in which the document ranks highest.

    Raises:
        InputError: the documents have more characters than are allowed.
        AbandonedError: the deadline says that nobody waits any more.
    """
    numbers = [number for number, _ in page]
    documents = _documents(view, config, numbers, deadline)
    ids = {number: document.id for number, document in documents.items()}
    ids |= view.store.ids([number for number in numbers if number not in ids])
    best = best or {}
    places = best_places(numbers, sources, best)
    terms = _terms(view, config, numbers, vectors, deadline, places, best)
    passages = _passages(view, places)
    marks = {}
    if config.highlight:
        marks = _marks(view, query, numbers, documents, terms, deadline, passages)
    scores = {name: dict(source) for name, source in sources.items()}
    # A context is made of whole documents.
    parts = True if config.context_tokens is not None else config.payload
    explained = _contributions(terms) if config.explain else {}
    return [
        Hit(
            ids[number],
            score,
            {name: source[number] for name, source in scores.items() if number in source},
            _selected(documents.get(number), parts),
            marks.get(number, []),
            explained.get(number, {}),
            passages.get(number),
        )
        for number, score in page
    ]


def with_parts(hits: Sequence[Hit], payload: bool | tuple[str, ...]) -> list[Hit]:
    """The hits with those parts of their documents that ``payload`` names, as in SearchConfig."""
    return [dataclasses.replace(hit, document=_selected(hit.document, payload)) for hit in hits]


def _selected(document: Document | None, payload: bool | tuple[str, ...]) -> Document | None:
    if document is None or isinstance(payload, bool):
        return document
    return select_parts(document, payload)


def best_places(
    numbers: Sequence[int],
    sources: Mapping[str, Sequence[tuple[int, float]]],
    best: Mapping[str, Mapping[int, int]],
) -> dict[int, int]:
    """The place of each document's passage in the ranking where the document comes first."""
    if not any(best.values()):
        return {}
    wanted, ranks = set(numbers), dict[int, tuple[int, int]]()
    for name, source in sources.items():
        for rank, (number, _) in enumerate(source):
            if number in wanted:
                found = rank, best.get(name, {}).get(number, 0)
                ranks[number] = min(found, ranks.get(number, found))
    return {number: place for number, (_, place) in ranks.items()}


def _passages(view: View, places: Mapping[int, int]) -> dict[int, HitPassage]:
    """The passages at these places of the documents that are split."""
    found = {}
    for number, parts in view.store.passages.of(list(places)).items():
        # A segment that someone else made may say more.
        if places[number] >= len(parts):
            continue
        passage = parts[places[number]]
        found[number] = HitPassage(
            places[number] + 1,
            len(parts),
            passage.start,
            passage.end,
            passage.heading,
            passage.page,
        )
    return found


def _documents(
    view: View, config: SearchConfig, numbers: Sequence[int], deadline: Deadline
) -> dict[int, Document]:
    """The documents of a page, where they were asked for.

    A damaged one is found by its vectors all the same; its text is not served.

    Raises:
        InputError: they have more characters than are allowed.
    """
    documents: dict[int, Document] = {}
    characters = 0
    for start in range(0, len(numbers) if config.payload else 0, AT_ONCE):
        deadline.passed()
        part = view.store.sound_documents(numbers[start : start + AT_ONCE])
        characters += sum(map(_characters, part.values()))
        if config.most_characters is not None and characters > config.most_characters:
            raise InputError(
                f"the documents of the {len(numbers)} hits have more than {config.most_characters} "
                "characters; ask for fewer hits at once, or for hits without their documents"
            )
        documents |= part
    return documents


def _characters(document: Document) -> int:
    return len(document.title) + len(document.text) + len(str(document.metadata))


def _terms(
    view: View,
    config: SearchConfig,
    numbers: Sequence[int],
    vectors: Mapping[str, EncodedQuery],
    deadline: Deadline,
    places: Mapping[int, int],
    best: Mapping[str, Mapping[int, int]],
) -> Terms:
    """The terms that carried the scores, where marks or explanations need them.

    They are of the passage that a field found, or of the best one where it found none.
    """
    if not (config.explain or (config.highlight and config.payload)):
        return {}
    sparse = {name: each for name, each in vectors.items() if isinstance(each, SparseVector)}
    terms: dict[str, list[tuple[Sequence[int], MatchedTerms]]] = {name: [] for name in sparse}
    for start in range(0, len(numbers), AT_ONCE):
        if deadline.passed():
            break
        part = numbers[start : start + AT_ONCE]
        for name, vector in sparse.items():
            found = best.get(name, {})
            rows = [number + found.get(number, places.get(number, 0)) for number in part]
            terms[name].append((part, matched_terms(view, name, vector, rows)))
    return terms


def _contributions(terms: Terms) -> dict[int, dict[str, list[Contribution]]]:
    """The terms of each document by field."""
    found: dict[int, dict[str, list[Contribution]]] = {}
    for name, parts in terms.items():
        for numbers, matched in parts:
            for row, number in enumerate(numbers):
                found.setdefault(number, {})[name] = matched.contributions(row)
    return found


def _marks(
    view: View,
    query: SearchQuery,
    numbers: Sequence[int],
    documents: Mapping[int, Document],
    terms: Terms,
    deadline: Deadline,
    passages: Mapping[int, HitPassage],
) -> dict[int, list[Highlight]]:
    """Title and text of each document, with the words marked that carried the score.

    Of the text of one that is split, its best passage.

    Those of a document that no sparse field explains are the words of the query.
    """
    if not documents:
        return {}
    first = next(field for field in view.fields if field.kind == "sparse")
    encoder = view.fields.encoder(first)
    asked: dict[str, float] = {}
    if query.text and not terms:
        asked = {each.token: 1.0 for each in encoder.occurrences(query.text)}
    carried = _shares(terms)
    weights = {number: carried.get(number) or asked for number in documents}
    marked = frozenset(term for each in weights.values() for term in each)
    texts = {
        number: [
            TextToMark(name, text, weights[number])
            for name, text in (
                ("title", documents[number].title),
                ("text", _text_of(documents[number], passages.get(number))),
            )
            if text
        ]
        for number in numbers
        if number in documents
    }
    highlighter = Highlighter(encoder, marked, deadline)
    marks = iter(highlighter.highlight_all(list(chain.from_iterable(texts.values()))))
    return {number: list(islice(marks, len(each))) for number, each in texts.items()}


def _text_of(document: Document, passage: HitPassage | None) -> str:
    return document.text[passage.start : passage.end] if passage else document.text


def _shares(terms: Terms) -> dict[int, dict[str, float]]:
    """The terms to mark in each document: those that carried much of what the heaviest one did."""
    found: dict[int, dict[str, float]] = {}
    for parts in terms.values():
        for numbers, matched in parts:
            for number, shares in zip(numbers, matched.shares(MARKED_SHARE), strict=True):
                found.setdefault(number, {}).update(shares)
    return found
