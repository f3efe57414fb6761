"""Snippets: the part of a text that matched, with the matched words marked.

What an encoder finds in a run of characters is remembered for as long as the encoder is, so that a
text is not tokenized again: its runs are looked up, those that may hold a wanted term, and only
what no text before had goes through the tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple
from weakref import WeakKeyDictionary

from index._core import RunTable, ScannedText, TextScanner
from index.search.deadline import Deadline
from lsr.encoders.encoder import SparseEncoder

LONGEST_SCANNED = 50_000
# Of all texts of one answer: characters that are scanned for words that may match, and characters
# of such words that may have to be tokenized, which takes far longer.
SCANNED = 1_000_000
TOKENIZED = 100_000
# Characters that are tokenized before the next look at the deadline.
AT_ONCE = 10_000
SNIPPET_LENGTH = 240
LONGEST_WORD = 40
WHITE_SPACE = re.compile(r"\s+")
# About the bytes that are remembered for each encoder.
REMEMBERED = 16 << 20
# Stands before runs that are tokenized: within a text, tokenizers see no beginning.
BEFORE = "a"


class Word(NamedTuple):
    """A word in a text or in a run of it: its place, and of its pieces the terms and lengths."""

    start: int
    end: int
    pieces: list[tuple[str, int]]


class TextToMark(NamedTuple):
    """One text of an answer: a title or body, the name of its field, and what to mark in it.

    ``weights`` has the weight of each matched term, from 0 to 1.
    """

    field: str
    text: str
    weights: dict[str, float]


@dataclass(frozen=True, slots=True)
class Highlight:
    """``snippet`` is a part of a field's text; ``spans`` are [start, end) places of the matched
    words in it, ascending and disjoint.

    ``looked_at`` is how many characters of the text were looked at, from its beginning, where that
    is not all of them: words behind are not found.
    """

    field: str
    snippet: str
    spans: list[tuple[int, int]]
    looked_at: int | None = None


def highlight(
    field: str,
    text: str,
    weights: Mapping[str, float],
    encoder: SparseEncoder,
    length: int = SNIPPET_LENGTH,
) -> Highlight:
    """The window of one text that holds the most weight of distinct matched terms.

    See ``Highlighter``; the first 50,000 characters are looked at.
    """
    highlighter = Highlighter(encoder, weights)
    return highlighter.highlight_all([TextToMark(field, text, dict(weights))], length)[0]


class Highlighter:
    """Marks words in the texts of one answer.

    A word is marked if the pieces that matched are at least half of its characters. The texts of
    the answer share a budget, which those that come first use first.

    Args:
        encoder: finds the terms.
        terms: all that may be marked in any of the texts.
        deadline: when it has passed, texts are not looked at any more.
        scanned: the budget, in characters that are looked at.
        tokenized: the budget, in characters of distinct words that may match.
    """

    def __init__(
        self,
        encoder: SparseEncoder,
        terms: Collection[str],
        deadline: Deadline | None = None,
        scanned: int = SCANNED,
        tokenized: int = TOKENIZED,
    ) -> None:
        self._encoder = encoder
        self._deadline = deadline or Deadline()
        self._scanned = scanned
        self._table = _table_of(encoder)
        spellings = {encoder.spelled_part(term) for term in terms}
        self._scanner = TextScanner(self._table, list(spellings), tokenized)

    def highlight_all(
        self, texts: Sequence[TextToMark], length: int = SNIPPET_LENGTH
    ) -> list[Highlight]:
        """For each text the window that holds the most weight of distinct matched terms.

        ``length`` is of a snippet in characters, about; the whole text where it is shorter.

        Raises:
            AbandonedError: the deadline says that nobody waits any more.
        """
        scanned = [self._scan(each) for each in texts]
        self._learn(self._scanner.take_unknown())
        return [
            self._highlight(each, found, length) for each, found in zip(texts, scanned, strict=True)
        ]

    def _scan(self, each: TextToMark) -> ScannedText | None:
        """What may match; None where a text isn't looked at."""
        if self._deadline.passed():
            return None
        reach = min(len(each.text), LONGEST_SCANNED, self._scanned) if each.weights else 0
        self._scanned -= reach
        return self._scanner.scan(each.text, reach)

    def _learn(self, runs: Sequence[str]) -> None:
        """Learn what is in runs that no text had before, as long as there is time."""
        begun: list[str] = []
        characters = 0
        for run in runs:
            # At the beginning of its text.
            if not run[0].isspace():
                if self._deadline.passed():
                    return
                self._learn_together("", [run])
                continue
            begun.append(run)
            characters += len(run)
            if characters >= AT_ONCE:
                if self._deadline.passed():
                    return
                self._learn_together(BEFORE, begun)
                begun, characters = [], 0
        if begun and not self._deadline.passed():
            self._learn_together(BEFORE, begun)

    def _learn_together(self, before: str, runs: Sequence[str]) -> None:
        words = _words(self._encoder, before + "".join(runs))
        word = next(words, None)
        start = len(before)
        for run in runs:
            end = start + len(run)
            found = []
            while word is not None and word.start < end:
                # Some tokenizers don't part words at line breaks: such a word is of two runs.
                if start <= word.start and word.end <= end:
                    found.append(Word(word.start - start, word.end - start, word.pieces))
                word = next(words, None)
            self._table.learn(run, found)
            start = end

    def _highlight(self, each: TextToMark, found: ScannedText | None, length: int) -> Highlight:
        text = each.text
        best, words, looked_at = 0, list[tuple[int, int]](), 0
        if found is not None:
            best, words, looked_at = found.mark(self._table, each.weights, length)
            looked_at = looked_at if each.weights else len(text)
        start = _word_start(text, max(0, best - length // 8)) if len(text) > length else 0
        end = start + length if start + length < len(text) else len(text)
        if end < len(text) and (space := text.rfind(" ", start + length // 2, end)) > 0:
            end = space
        spans = [(a - start, b - start) for a, b in words if a >= start and b <= end]
        return Highlight(
            each.field, text[start:end], spans, looked_at if looked_at < len(text) else None
        )


_tables: WeakKeyDictionary[SparseEncoder, RunTable] = WeakKeyDictionary()


def _table_of(encoder: SparseEncoder) -> RunTable:
    """What is known of the encoder's runs; nothing again once that is very much."""
    table = _tables.get(encoder)
    if table is None or table.nbytes > REMEMBERED:
        table = _tables[encoder] = RunTable()
    return table


def _words(encoder: SparseEncoder, text: str) -> Iterator[Word]:
    """The words of a text by their places; an encoder may have several at one."""
    words = []
    for _, group in groupby(encoder.occurrences(text), key=lambda piece: piece.word):
        pieces = list(group)
        lengths = [(piece.token, piece.end - piece.start) for piece in pieces]
        words.append(Word(pieces[0].start, pieces[-1].end, lengths))
    return iter(sorted(words, key=lambda word: (word.start, -word.end)))


def _word_start(text: str, start: int) -> int:
    if start == 0:
        return 0
    space = WHITE_SPACE.search(text, start, start + LONGEST_WORD)
    return space.end() if space else start
