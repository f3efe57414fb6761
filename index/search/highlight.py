"""Snippets: the part of a text that matched, with the matched words marked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from lsr.encoders.encoder import Occurrence

LONGEST_SCANNED = 50_000
SNIPPET_LENGTH = 240
LONGEST_WORD = 40
WHITE_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Highlight:
    """``snippet`` is a part of a field's text; ``spans`` are [start, end) places of the matched
    words in it, ascending and disjoint."""

    field: str
    snippet: str
    spans: list[tuple[int, int]]


def highlight(
    field: str,
    text: str,
    weights: Mapping[str, float],
    occurrences: Callable[[str], Iterable[Occurrence]],
    length: int = SNIPPET_LENGTH,
) -> Highlight:
    """The window of a text that holds the most weight of distinct matched terms.

    A word is marked if the pieces that matched are at least half of its characters. Only the
    first 50,000 characters are looked at.

    Args:
        field: name of the field that the text is of.
        text: title or body of a document.
        weights: weight of each matched term, as it is spelled.
        occurrences: finds the terms in a text, those of a word in a row.
        length: characters in the snippet, about; the whole text where it is shorter.
    """
    scanned = text[:LONGEST_SCANNED]
    words = _matched_words(weights, occurrences(scanned))
    start = _best_start(words, weights, length) if len(text) > length else 0
    start = _word_start(text, start)
    end = start + length if start + length < len(text) else len(text)
    if end < len(text) and (space := text.rfind(" ", start + length // 2, end)) > 0:
        end = space
    spans = [(a - start, b - start) for a, b, _ in words if a >= start and b <= end]
    return Highlight(field, text[start:end], spans)


def _matched_words(
    weights: Mapping[str, float], occurrences: Iterable[Occurrence]
) -> list[tuple[int, int, frozenset[str]]]:
    found = []
    for _, group in groupby(occurrences, key=lambda piece: piece.word):
        pieces = list(group)
        start, end = pieces[0].start, pieces[-1].end
        matched = [piece for piece in pieces if piece.token in weights]
        if matched and 2 * sum(piece.end - piece.start for piece in matched) >= end - start:
            found.append((start, end, frozenset(piece.token for piece in matched)))
    words: list[tuple[int, int, frozenset[str]]] = []
    # What overlaps, as a word and its parts or two bigrams do, is marked as one.
    for start, end, tokens in sorted(found, key=lambda word: word[:2]):
        if words and start < words[-1][1]:
            before = words.pop()
            start, end, tokens = before[0], max(end, before[1]), tokens | before[2]
        words.append((start, end, tokens))
    return words


def _best_start(
    words: list[tuple[int, int, frozenset[str]]], weights: Mapping[str, float], length: int
) -> int:
    best, best_start = 0.0, 0
    for place, (start, _, _) in enumerate(words):
        terms: set[str] = set()
        for _, end, matched in words[place:]:
            if end > start + length:
                break
            terms |= matched
        weight = sum(weights[term] for term in terms)
        if weight > best:
            best, best_start = weight, start
    return max(0, best_start - length // 8)


def _word_start(text: str, start: int) -> int:
    if start == 0:
        return 0
    space = WHITE_SPACE.search(text, start, start + LONGEST_WORD)
    return space.end() if space else start
