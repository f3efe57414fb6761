"""What the pieces of a word count for in a query, where the word itself is a term as well."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.analysis.analyzer import Analyzer
from lsr.sparse import SparseVector
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary

# A piece that would keep less of its weight keeps none: in a hundred documents of it, one or none
# has the word.
LEAST = 0.1


class Fragments(NamedTuple):
    """A word that a closed vocabulary has only in pieces: their term ids, and the word's terms."""

    pieces: list[int]
    words: list[str]


class FragmentedQuery(NamedTuple):
    """The words in pieces of a query, and the term ids of those pieces that are words besides."""

    fragments: list[Fragments]
    whole: set[int]


def fragmented(vocabulary: Vocabulary, analyzer: Analyzer, mark: str, text: str) -> FragmentedQuery:
    """The words of a text that a vocabulary has in pieces, each spelled with ``mark`` before it.

    One in which the analyser finds no word, or a stop word, is taken as whole.
    """
    whole: set[int] = set()
    split: list[set[int]] = []
    places: list[tuple[int, int]] = []
    for _, group in groupby(vocabulary.pieces(text), key=itemgetter(3)):
        pieces = list(group)
        if len(pieces) == 1:
            whole.add(pieces[0].term)
            continue
        places.append((pieces[0].start, pieces[-1].end))
        split.append({piece.term for piece in pieces})
    if not split:
        return FragmentedQuery([], whole)
    words: list[list[str]] = [[] for _ in split]
    # Both in the order of the text; the compounds of an analyser begin anew.
    for word, start, end in analyzer.analyzed(text):
        for place in range(bisect_right(places, start, key=itemgetter(1)), len(places)):
            if places[place][0] >= end:
                break
            words[place].append(word)
    found: list[Fragments] = []
    for terms, spelled in zip(split, words, strict=True):
        if spelled and analyzer.stop_words.isdisjoint(spelled):
            marked = [mark + each for each in dict.fromkeys(spelled)]
            fragments = Fragments(sorted(terms), marked)
            # A word that is said twice has the weight of its pieces once.
            if fragments not in found:
                found.append(fragments)
        else:
            whole |= terms
    return FragmentedQuery(found, whole)


def shared_out(
    query: FragmentedQuery,
    row: SparseVector,
    numbers: Mapping[str, int],
    statistics: CollectionStatistics,
) -> tuple[NDArray[np.float32], dict[int, float]]:
    """The weights of a query's pieces, and what they give up to its words.

    Of a piece's documents, the share that has the word tells how far the piece stands for it, and
    not for others that are spelled alike in part. A piece keeps the square root of that share of
    its weight, the largest where it is of several words, and gives the rest to the word. So of a
    word that no document has, nothing is left. A piece that is a word of the query itself keeps
    all.

    Args:
        query: of ``fragmented``.
        row: the weights of the query's text over the closed vocabulary.
        numbers: the term ids of the words that the collection has.
        statistics: the document frequencies of pieces and words. A piece that they don't count
            keeps all.

    Returns:
        float32 (len(row),), the weights of ``row`` that stay; and by term id what words gain.
    """
    places = {term: place for place, term in enumerate(row.indices.tolist())}
    frequency = np.maximum(statistics.frequency_of(row.indices), 1).tolist()
    # By place, of the pieces of words; the others keep all.
    kept: dict[int, float] = {}
    known: list[tuple[list[int], list[int]]] = []
    for pieces, words in query.fragments:
        terms = [numbers[word] for word in words if word in numbers]
        of_word = [places[each] for each in pieces if each in places and each not in query.whole]
        counted = statistics.frequency_of(np.array(terms, dtype=np.int64))
        documents = float(counted.max(initial=0))
        for place in of_word:
            share = math.sqrt(min(documents / frequency[place], 1))
            kept[place] = max(kept.get(place, 0.0), 0.0 if share < LEAST else share)
        known.append((of_word, terms))
    weights = row.values.astype(np.float64)
    given = {place: (1 - share) * float(weights[place]) for place, share in kept.items()}
    gained: dict[int, float] = {}
    for of_word, terms in known:
        for term in terms:
            share = sum(given[place] for place in of_word) / len(terms)
            gained[term] = gained.get(term, 0.0) + share
    for place, share in kept.items():
        weights[place] *= share
    return weights.astype(np.float32), gained
