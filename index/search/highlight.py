"""Snippets: the part of a text that matched, with the matched words marked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import NamedTuple

from index.search.deadline import Deadline
from lsr.encoders.encoder import SparseEncoder

LONGEST_SCANNED = 50_000
# Of all texts of one answer: characters that are scanned for words that may match, and characters
# of such words that are tokenized, which takes far longer.
SCANNED = 1_000_000
TOKENIZED = 100_000
SNIPPET_LENGTH = 240
LONGEST_WORD = 40
WHITE_SPACE = re.compile(r"\s+")
# Characters without white space, and the white space before, of which some tokenizers make pieces.
RUN = re.compile(r"\s*\S+")
# With more terms than these, going through their spellings would take longer than tokenizing.
MOST_SPELLINGS = 64
# Weights are added as whole numbers, so that what is taken away again leaves nothing behind.
UNIT = 1 << 30


class Word(NamedTuple):
    """A word in a text or in a run of it: its place, and of its pieces the terms and lengths."""

    start: int
    end: int
    pieces: tuple[tuple[str, int], ...]


class MatchedWord(NamedTuple):
    """The place of a word, and those of its terms that matched."""

    start: int
    end: int
    terms: frozenset[str]


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
    return Highlighter(encoder, weights).highlight(field, text, weights, length)


class Highlighter:
    """Marks words in the texts of one answer.

    A word is marked if the pieces that matched are at least half of its characters. The texts of
    the answer share a budget, which those that come first use first.

    Args:
        encoder: finds the terms.
        terms: all that may be marked in any of the texts.
        deadline: when it has passed, texts are not looked at any more.
        scanned: the budget, in characters that are looked at.
        tokenized: the budget, in characters of words that may match.
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
        self._terms = frozenset(terms)
        self._deadline = deadline or Deadline()
        self._scanned = scanned
        self._tokenized = tokenized
        self._spellings = _spellings(encoder, self._terms)
        # The words with such terms in each run that was met so far.
        self._known: dict[str, tuple[Word, ...]] = {}

    def highlight(
        self,
        field: str,
        text: str,
        weights: Mapping[str, float],
        length: int = SNIPPET_LENGTH,
    ) -> Highlight:
        """The window of a text that holds the most weight of distinct matched terms.

        Args:
            field: name of the field that the text is of.
            text: title or body of a document.
            weights: weight of each matched term.
            length: characters in the snippet, about; the whole text where it is shorter.

        Raises:
            AbandonedError: the deadline says that nobody waits any more.
        """
        words, looked_at = self._matched_words(text, weights)
        start = _best_start(words, weights, length) if len(text) > length else 0
        start = _word_start(text, start)
        end = start + length if start + length < len(text) else len(text)
        if end < len(text) and (space := text.rfind(" ", start + length // 2, end)) > 0:
            end = space
        spans = [(a - start, b - start) for a, b, _ in words if a >= start and b <= end]
        return Highlight(
            field, text[start:end], spans, looked_at if looked_at < len(text) else None
        )

    def _matched_words(
        self, text: str, weights: Mapping[str, float]
    ) -> tuple[list[MatchedWord], int]:
        """The words that match, in reading order, and how many characters were looked at."""
        if self._deadline.passed():
            return [], 0
        if not weights:
            return [], len(text)
        reach = min(len(text), LONGEST_SCANNED, self._scanned)
        self._scanned -= reach
        runs = RUN.findall(text[:reach].rstrip())
        distinct = list(dict.fromkeys(runs))
        unknown = self._look_up(distinct)
        if unknown is not None:
            runs = runs[: runs.index(unknown)]
            reach = sum(map(len, runs))
        matched = {
            run: words for run in distinct if (words := _matched(self._known.get(run, ()), weights))
        }
        return [
            MatchedWord(end - len(run) + start, end - len(run) + stop, terms)
            for run, end in zip(runs, accumulate(map(len, runs)), strict=True)
            if run in matched
            for start, stop, terms in matched[run]
        ], reach

    def _look_up(self, runs: Sequence[str]) -> str | None:
        """Learn what is in runs not met before; the first for which the budget is too small."""
        new, unknown = [], None
        for run in runs:
            if run in self._known:
                continue
            if run.isascii() and self._spellings and not self._spellings.search(run.lower()):
                self._known[run] = ()
                continue
            if len(run) > self._tokenized:
                unknown = run
                break
            self._tokenized -= len(run)
            new.append(run)
        words = _words(self._encoder, "".join(new))
        word = next(words, None)
        start = 0
        for run in new:
            end = start + len(run)
            found = []
            while word is not None and word.start < end:
                # Some tokenizers don't part words at line breaks: such a word is of two runs.
                if word.end <= end and any(term in self._terms for term, _ in word.pieces):
                    found.append(Word(word.start - start, word.end - start, word.pieces))
                word = next(words, None)
            self._known[run] = tuple(found)
            start = end
        return unknown


def _spellings(encoder: SparseEncoder, terms: Collection[str]) -> re.Pattern[str] | None:
    """What is in every run of ASCII, in lower case, that holds one of the terms; None: any run."""
    spelled = {encoder.spelled_part(term) for term in terms}
    if len(spelled) > MOST_SPELLINGS or "" in spelled:
        return None
    return re.compile("|".join(map(re.escape, sorted(spelled))) or "(?!)")


def _words(encoder: SparseEncoder, text: str) -> Iterator[Word]:
    """The words of a text by their places; an encoder may have several at one."""
    words = []
    for _, group in groupby(encoder.occurrences(text), key=lambda piece: piece.word):
        pieces = list(group)
        lengths = tuple((piece.token, piece.end - piece.start) for piece in pieces)
        words.append(Word(pieces[0].start, pieces[-1].end, lengths))
    return iter(sorted(words, key=lambda word: (word.start, -word.end)))


def _matched(words: Sequence[Word], weights: Mapping[str, float]) -> list[MatchedWord]:
    """Those of the words of which the pieces that match are at least half of the characters.

    Those that overlap, as a name and its parts or two bigrams do, are one.
    """
    found: list[MatchedWord] = []
    for start, end, pieces in words:
        matched = [(term, length) for term, length in pieces if term in weights]
        if matched and 2 * sum(length for _, length in matched) >= end - start:
            tokens = frozenset(term for term, _ in matched)
            if found and start < found[-1].end:
                last = found.pop()
                start, end, tokens = last.start, max(end, last.end), tokens | last.terms
            found.append(MatchedWord(start, end, tokens))
    return found


def _best_start(words: Sequence[MatchedWord], weights: Mapping[str, float], length: int) -> int:
    """Where the snippet should begin: a little before the words that weigh most together."""
    units = {term: round(UNIT * weight) for term, weight in weights.items()}
    inside: Counter[str] = Counter()
    weight = best = best_start = last = 0
    for place, (start, _, leaving) in enumerate(words):
        last = max(last, place)
        while last < len(words) and words[last].end <= start + length:
            for term in words[last].terms:
                weight += 0 if inside[term] else units[term]
                inside[term] += 1
            last += 1
        if weight > best:
            best, best_start = weight, start
        for term in leaving if place < last else ():
            inside[term] -= 1
            weight -= 0 if inside[term] else units[term]
    return max(0, best_start - length // 8)


def _word_start(text: str, start: int) -> int:
    if start == 0:
        return 0
    space = WHITE_SPACE.search(text, start, start + LONGEST_WORD)
    return space.end() if space else start
