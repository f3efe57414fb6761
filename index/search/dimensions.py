"""Dimensions at query time: the cells of a query, and the documents in them.

After Hypercube-RAG (Shi et al. 2025): a query is a set of cells, each a dimension and a phrase of
it, and a document scores by how many of these cells it is in. A dimension is a metadata key, its
phrases are the strings that documents have there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.collection.column import Column
from index.collection.view import Passing, View
from index.search.dimension_settings import MOST_KEYS, Dimensions
from index.search.query import SearchQuery
from lsr.analysis.analyzer import Analyzer, analyzer
from lsr.corpus.documents import EXTRACTED
from lsr.errors import InputError, UsageError

# Words of a phrase that is looked for in a query.
LONGEST_PHRASE = 6
# Where like phrases are wanted: words of a query, and phrases of a segment, that are encoded.
LONGEST_ASKED = 32
MOST_ENCODED = 50_000


class Cell(NamedTuple):
    """A dimension, and a phrase of the query in it, as analysed words."""

    key: str
    phrase: str


@dataclass(frozen=True, slots=True)
class Cube:
    """The cells of a query, and which of them each document is in."""

    cells: tuple[Cell, ...]
    members: Mapping[int, tuple[int, ...]]

    def ranking(self) -> list[tuple[int, float]]:
        """Documents by the number of their cells; the most first, of equal ones the older."""
        scored = [(number, float(len(cells))) for number, cells in self.members.items()]
        return sorted(scored, key=lambda each: (-each[1], each[0]))

    def cells_of(self, number: int) -> list[tuple[str, str]]:
        """The cells that a document is in."""
        return [self.cells[place] for place in self.members.get(number, ())]


def cube_of(view: View, settings: Dimensions, query: SearchQuery, masks: Passing | None) -> Cube:
    """The cells of a query's text, with the documents that live and that masks let pass.

    The view is pinned.

    Raises:
        InputError: the query has no text.
        UsageError: no dimensions have been extracted and none are named, or like phrases are
            wanted and there is no dense field.
    """
    if query.text is None:
        raise InputError(
            "dimensions are looked for in the query's text; give one, or no dimensions"
        )
    extracted = [key for key in view.keys if key.startswith(f"{EXTRACTED}.")]
    keys = settings.keys or tuple(extracted[:MOST_KEYS])
    # Where nothing was found in any document, there is the object and no phrase in it.
    if not keys and EXTRACTED not in view.keys:
        raise UsageError(
            "no dimensions are named, and none have been extracted; name metadata keys, or run "
            "`lsr dimensions` on the collection"
        )
    words = analyzer("auto")
    grams = list(_grams(words.terms(query.text), words.stop_words))
    alike = None
    if settings.similarity is not None:
        alike = _Alike(view, settings.similarity, query.text, words)
    cells: dict[Cell, int] = {}
    members: dict[int, set[int]] = {}
    for columns, numbers, passing in view.all_columns(keys, masks):
        for key in keys:
            for phrase, codes in _matching(columns[key], grams, words, alike).items():
                place = cells.setdefault(Cell(key, phrase), len(cells))
                for document in _documents(columns[key], codes):
                    if passing[document]:
                        members.setdefault(int(numbers[document]), set()).add(place)
    ordered = {number: tuple(sorted(places)) for number, places in members.items()}
    return Cube(tuple(cells), ordered)


def joined(
    ranking: Sequence[tuple[int, float]], cube: Cube, weight: float
) -> list[tuple[int, float]]:
    """A ranking joined with the cells of its query, as ``Dimensions`` says; in the tie order."""
    highest = max((score for _, score in ranking), default=0.0)
    most = max(map(len, cube.members.values()), default=0)
    scores = {number: score / highest if highest > 0 else 0.0 for number, score in ranking}
    for number, cells in cube.members.items():
        scores[number] = scores.get(number, 0.0) + weight * len(cells) / most
    return sorted(scores.items(), key=lambda each: (-each[1], each[0]))


def _matching(
    column: Column, grams: Sequence[str], words: Analyzer, alike: _Alike | None
) -> dict[str, list[int]]:
    """By phrase of the query, the codes of a column's values that are it; longest phrases win."""
    phrases = phrases_of(column, words)
    found: dict[str, list[int]] = {}
    for gram in grams:
        codes = phrases.get(gram, [])
        if codes and not any(f" {gram} " in f" {longer} " for longer in found):
            found[gram] = list(codes)
    if alike is not None:
        for gram, codes in alike.matching(column, phrases):
            found.setdefault(gram, []).extend(code for code in codes if code not in found[gram])
    return found


def phrases_of(column: Column, words: Analyzer) -> Mapping[str, list[int]]:
    """The codes of a column's strings by their analysed words, joined by spaces; kept with it."""
    kept = column.kept.get(words.name)
    if kept is None:
        kept = {}
        for code, value in enumerate(column.values):
            if isinstance(value, str):
                terms = words.terms(value)
                if 0 < len(terms) <= LONGEST_PHRASE:
                    kept.setdefault(" ".join(terms), []).append(code)
        column.kept[words.name] = kept
    return kept


def _grams(terms: Sequence[str], stop_words: Iterable[str]) -> Iterator[str]:
    """The runs of a query's words, the longest first; none of stop words alone."""
    weak = set(stop_words)
    for length in range(min(LONGEST_PHRASE, len(terms)), 0, -1):
        for start in range(len(terms) - length + 1):
            run = terms[start : start + length]
            if not weak.issuperset(run):
                yield " ".join(run)


def _documents(column: Column, codes: Iterable[int]) -> Iterator[int]:
    for code in codes:
        yield from column.documents[column.starts[code] : column.starts[code + 1]].tolist()


class _Alike:
    """Finds the phrases whose vectors are near those of the query's runs of words."""

    def __init__(self, view: View, least: float, text: str, words: Analyzer) -> None:
        dense = next((field for field in view.fields if field.kind == "dense"), None)
        if dense is None:
            raise UsageError(
                "like phrases are found by the encoder of a dense field, and this collection has "
                "none; leave the similarity out, or index with --dense MODEL"
            )
        self._encoder = view.fields.dense_encoder(dense)
        self._least = least
        spelled = text.split()[:LONGEST_ASKED]
        runs = [
            " ".join(spelled[start : start + length])
            for length in range(1, min(3, len(spelled)) + 1)
            for start in range(len(spelled) - length + 1)
        ]
        terms = {run: list(words.terms(run)) for run in dict.fromkeys(runs)}
        weak = words.stop_words
        self._runs = {run: " ".join(each) for run, each in terms.items() if set(each) - weak}
        self._vectors = _normalised(self._encoder.encode_queries(list(self._runs)))

    def matching(
        self, column: Column, phrases: Mapping[str, list[int]]
    ) -> Iterator[tuple[str, list[int]]]:
        """The analysed runs of the query that are nearest to some phrases, with their codes.

        Raises:
            InputError: the column has too many phrases.
        """
        if len(phrases) > MOST_ENCODED:
            raise InputError(
                f"a dimension has {len(phrases):,} phrases in a segment; like ones are looked for "
                f"among {MOST_ENCODED:,} at most, so leave the similarity out"
            )
        names = list(phrases)
        if not names or not self._runs:
            return
        vectors = column.kept.get(self._encoder.fingerprint)
        if vectors is None:
            texts = [str(column.values[phrases[name][0]]) for name in names]
            vectors = _normalised(self._encoder.encode_documents(texts))
            column.kept[self._encoder.fingerprint] = vectors
        cosines = vectors @ self._vectors.T
        nearest = cosines.argmax(axis=1)
        runs = list(self._runs.values())
        for place in np.flatnonzero(cosines.max(axis=1) >= self._least).tolist():
            yield runs[nearest[place]], phrases[names[place]]


def _normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    normalised: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
    return normalised
