"""Hits: what a ranking found, with documents, marked words, and the terms that carried a score."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from index.collection.view import View
from index.search.config import SearchConfig
from index.search.deadline import Deadline
from index.search.explain import Contribution, contributions
from index.search.highlight import Highlight, Highlighter
from index.search.query import EncodedQuery, SearchQuery
from lsr.corpus.documents import Document
from lsr.errors import InputError
from lsr.sparse import SparseVector

# A term is marked where it carried this share of what the heaviest one of its field did.
MARKED_SHARE = 1 / 4
# Documents that are fetched, or whose terms are found, before the next look at the deadline.
AT_ONCE = 64
# For each field, and in it for each document by its number, the terms that carried the score.
Terms = Mapping[str, Mapping[int, list[Contribution]]]


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
    return [
        Hit(
            ids[number],
            score,
            {name: source[number] for name, source in scores.items() if number in source},
            documents.get(number),
            marks.get(number, []),
            _of(number, terms) if config.explain else {},
            passages.get(number),
        )
        for number, score in page
    ]


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
    terms: dict[str, dict[int, list[Contribution]]] = {name: {} for name in sparse}
    for start in range(0, len(numbers), AT_ONCE):
        if deadline.passed():
            break
        for name, vector in sparse.items():
            part = numbers[start : start + AT_ONCE]
            found = best.get(name, {})
            rows = {number + found.get(number, places.get(number, 0)): number for number in part}
            matched = contributions(view, name, vector, list(rows))
            terms[name] |= {rows[row]: each for row, each in matched.items()}
    return terms


def _of(number: int, terms: Terms) -> dict[str, list[Contribution]]:
    """The terms of one document by field."""
    return {name: found[number] for name, found in terms.items() if number in found}


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
    weights = {number: _weights(_of(number, terms)) or asked for number in documents}
    marked = frozenset(term for each in weights.values() for term in each)
    highlighter = Highlighter(encoder, marked, deadline)
    return {
        number: [
            highlighter.highlight(name, text, weights[number])
            for name, text in (
                ("title", document.title),
                ("text", _text_of(document, passages.get(number))),
            )
            if text
        ]
        for number, document in ((n, documents[n]) for n in numbers if n in documents)
    }


def _text_of(document: Document, passage: HitPassage | None) -> str:
    return document.text[passage.start : passage.end] if passage else document.text


def _weights(terms: Mapping[str, Sequence[Contribution]]) -> dict[str, float]:
    """The terms to mark in a document: those that carried much of what the heaviest one did."""
    weights: dict[str, float] = {}
    for matched in terms.values():
        largest = max((term.contribution for term in matched), default=0.0)
        for term in matched:
            if term.contribution >= MARKED_SHARE * largest:
                weights[term.token] = term.contribution / largest
    return weights
