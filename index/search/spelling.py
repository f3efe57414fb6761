"""Spelling: a word that no document has becomes the nearest one that some have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import OSA

from index.collection.field import Field
from index.collection.view import View
from index.search.deadline import Deadline
from index.search.query import SearchQuery, unknown_words
from index.search.rewriting import Rewritten
from lsr.encoders.encoder import SparseEncoder
from lsr.errors import UsageError
from lsr.settings import check_range, spell
from lsr.sparse import SparseBatch, SparseVector

# Of a query, words that are looked at; of a word, terms whose spellings are read, and documents
# in which each is read.
MOST_WORDS = 8
CANDIDATES = 8
DOCUMENTS = 2
# A term is a stem, so a word may go on after it.
LONGEST_ENDING = 7


@dataclass(frozen=True, slots=True)
class Spelling:
    """Corrects words of letters that no document has, by words that documents have.

    The nearest spelling within ``edits`` insertions, deletions, substitutions and exchanges of
    neighbours (optimal string alignment) is taken, and of those as near the one in most documents.
    Words of fewer than six letters are given one edit, those of fewer than four none, as
    Elasticsearch's AUTO does. The word and its correction begin with the same letter, or with the
    same two exchanged.
    """

    edits: int = 2

    def __post_init__(self) -> None:
        check_range("edits", self.edits, 1, 3)

    @property
    def name(self) -> str:
        """See ``Rewriter``."""
        return "spelling" if self.edits == 2 else f"spelling,edits={spell(self.edits)}"

    def rewrite(
        self, view: View, fields: Sequence[Field], query: SearchQuery, deadline: Deadline
    ) -> Rewritten:
        """See ``Rewriter``."""
        worded = [each for each in fields if each.weighed and each.open]
        if not worded:
            raise UsageError(
                "spelling is corrected by the words of a collection, and no field that is searched "
                "has any; search one of bm25, or of an encoder with words=yes"
            )
        text, notes = query.text or "", list[str]()
        for word in unknown_words(view, worded, query)[:MOST_WORDS]:
            if deadline.passed():
                notes.append("the time was up before all words were looked at")
                break
            found = self._correct(view, worded, word)
            if found is not None:
                # Letters alone, so that nothing in it means something to `sub`.
                text = re.sub(rf"(?<!\w){word}(?!\w)", found, text)
                notes.append(f"no document has {word!r}; searched was {found!r}")
        return Rewritten((replace(query, text=text),), tuple(notes))

    def _correct(self, view: View, fields: Sequence[Field], word: str) -> str | None:
        """The spelling in place of a word; None: there is none near enough."""
        allowed = self._allowed(word)
        if not allowed or not word.isalpha():
            return None
        lower = word.lower()
        spellings = [
            spelling
            for each in fields
            for spelling in _spellings(view, each, _near_terms(view, each, lower, allowed))
        ]
        nearest = min(
            (
                (distance, -spelling.documents, spelling.text)
                for spelling in spellings
                if (distance := OSA.distance(lower, spelling.text, score_cutoff=allowed)) <= allowed
            ),
            default=None,
        )
        return None if nearest is None else nearest[-1]

    def _allowed(self, word: str) -> int:
        return 0 if len(word) < 4 else 1 if len(word) < 6 else self.edits


class _Term(NamedTuple):
    """A word of the dictionary, as a term of a field."""

    term: int
    token: str
    documents: int


class _Spelling(NamedTuple):
    """How documents spell a term, in lower case, and how many documents have it."""

    text: str
    documents: int


def _near_terms(view: View, field: Field, word: str, allowed: int) -> list[_Term]:
    """The terms of a field from which a word may be made, the nearest first."""
    mark = view.fields.encoder(field).mark
    frequency = view.statistics(field).document_frequency
    found = []
    for first in {word[0], word[1]}:
        for token, term in view.store.dictionary.beginning(field, mark + first).items():
            stem = token.removeprefix(mark)
            distance = _distance_to_stem(word, stem, allowed)
            documents = int(frequency[term]) if term < len(frequency) else 0
            if distance <= allowed and documents:
                found.append((distance, -documents, term, token))
    nearest = sorted(found)[:CANDIDATES]
    return [_Term(term, token, -documents) for _, documents, term, token in nearest]


def _distance_to_stem(word: str, stem: str, allowed: int) -> int:
    """Edits between a stem and that beginning of a word which is nearest to it."""
    if not len(word) - LONGEST_ENDING <= len(stem) <= len(word) + allowed:
        return allowed + 1
    ends = {min(len(word), len(stem) + more) for more in range(-allowed, allowed + 1)}
    return min(int(OSA.distance(word[:end], stem, score_cutoff=allowed)) for end in ends)


def _spellings(view: View, field: Field, terms: Sequence[_Term]) -> Iterator[_Spelling]:
    """How the documents that weigh each term most spell it."""
    if not terms:
        return
    size = view.terms(field)
    one = np.ones(1, dtype=np.float32)
    rows = [SparseVector(np.array([each.term], dtype=np.int32), one) for each in terms]
    top = view.search_sparse(field, SparseBatch.from_rows(rows, size), DOCUMENTS, "native")
    encoder = view.fields.encoder(field)
    for place, each in enumerate(terms):
        numbers = [number for number, _ in top.ranking(place)]
        for document in view.store.sound_documents(numbers).values():
            text = f"{document.title} {document.text}"
            for spelling in _spelled(encoder, text, each.token):
                yield _Spelling(spelling, each.documents)


def _spelled(encoder: SparseEncoder, text: str, token: str) -> set[str]:
    """The spellings, in lower case, of a term in a text."""
    return {
        text[each.start : each.end].lower()
        for each in encoder.occurrences(text)
        if each.token == token
    }
