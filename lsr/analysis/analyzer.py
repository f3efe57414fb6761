"""Analysers: a text's terms, as Lucene's analysers make them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from lsr.analysis.compounds import compounds
from lsr.analysis.segmentation import Segment, normal, segments, words
from lsr.analysis.stemming import LANGUAGES, lowered, stemmer
from lsr.analysis.stop_words import stop_words
from lsr.errors import UsageError

ANALYZERS = ("auto", "cjk", "standard", *LANGUAGES)
# Words whose terms are remembered.
REMEMBERED = 1 << 18
# Texts of queries that are remembered, none longer than so many characters.
QUERIES, LONGEST = 64, 2000


class Analyzer:
    """Words (UAX #29, bigrams in scripts without spaces), in lower case, stemmed.

    The chain of Lucene's EnglishAnalyzer, and with a Snowball stemmer the like for other languages.
    ``cjk`` and ``standard`` don't stem, and ``auto`` stems by script, Latin letters as English.
    Numbers, part numbers, addresses and the like are terms as a whole besides, unstemmed. Stop
    words come out as they are.
    """

    def __init__(self, name: str) -> None:
        if name not in ANALYZERS:
            raise UsageError(f"there is no analyzer {name!r}; allowed are {', '.join(ANALYZERS)}")
        self.name = name
        self.stop_words = stop_words("english" if name in ("cjk", "standard") else name)
        self._language = "none" if name in ("cjk", "standard") else name
        self._terms: dict[str, str] = {}
        self._analyzed = lru_cache(maxsize=QUERIES)(lambda text: tuple(self.occurrences(text)))

    def terms(self, text: str) -> list[str]:
        """The terms of a text, each as often as it occurs."""
        known, term = self._terms, self._term
        found = [known.get(word) or term(word) for word in words(text)]
        return found + [normal(whole.text).lower() for whole in compounds(text)]

    def occurrences(self, text: str) -> Iterator[Segment]:
        """The terms, with the characters that each came from."""
        known, term = self._terms, self._term
        for _, start, end in segments(text):
            word = text[start:end]
            yield Segment(known.get(word) or term(word), start, end)
        for whole, start, end in compounds(text):
            yield Segment(normal(whole).lower(), start, end)

    def analyzed(self, text: str) -> tuple[Segment, ...]:
        """The same, remembered for what a query asks again and again while it is answered."""
        return self._analyzed(text) if len(text) <= LONGEST else tuple(self.occurrences(text))

    def _term(self, word: str) -> str:
        if len(self._terms) >= REMEMBERED:
            self._terms = {}
        low = lowered(normal(word), self._language)
        term = low
        if low not in self.stop_words:
            # Names with dots and underscores have no endings.
            stem = low if "_" in low or "." in low else stemmer(self._language)(low)
            # What is left of "innings" is no stop word.
            term = stem if stem and stem not in self.stop_words else low
        self._terms[word] = term
        return term


@lru_cache(maxsize=16)
def analyzer(name: str) -> Analyzer:
    """The analyser of that name, one for all.

    Raises:
        UsageError: there is none.
    """
    return Analyzer(name)


def spelled_part_of(term: str) -> str:
    """What stands, in lower case, in every ASCII word that has the term: stemmers change its end.

    Porter's program replaces at most three letters.
    """
    return term[: max(2, len(term) - 3)]
