"""Queries for documents that have none: titles, headings, random spans, crops and keywords."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from lsr.analysis.stop_words import STOP_WORDS
from lsr.corpus.documents import Document
from lsr.errors import UsageError
from lsr.train.pairs import normal, text_hash
from lsr.vocabulary import Vocabulary

MARKED_HEADING = re.compile(r"#{1,6}\s+(?P<text>.*?)\s*#*")
UNDERLINE = re.compile(r"={3,}|-{3,}")
LONGEST_HEADING = 12
WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class QueryGeneration:
    """Which queries are made of a document."""

    # Some of ``KINDS``.
    kinds: tuple[str, ...] = ("title", "heading", "span", "crop", "keywords")
    # Spans, crops and keyword queries that are drawn of each document; 1 or more.
    per_document: int = 1
    # The fewest and the most words of a span; 1 or more.
    shortest: int = 4
    longest: int = 16
    # How often a span is cut out of its document, 0 to 1: 0.9 in Lee et al. 2019
    # (arXiv:1906.00300).
    removal: float = 0.9
    # The least and the most of a document's words that a crop takes, as shares above 0, to 1: 0.05
    # and 0.5 in Izacard et al. 2021 (arXiv:2112.09118).
    least: float = 0.05
    most: float = 0.5
    # The most words of a keyword query; 1 or more.
    keywords: int = 5

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise UsageError(
                f"the kinds of queries are {', '.join(self.kinds) or 'none'}; allowed are "
                f"{', '.join(KINDS)}"
            )
        if self.per_document < 1 or self.keywords < 1:
            raise UsageError(
                f"per_document is {self.per_document} and keywords {self.keywords}; allowed is 1 "
                "or more"
            )
        if not 1 <= self.shortest <= self.longest:
            raise UsageError(
                f"a span has {self.shortest} to {self.longest} words; allowed is 1 or more, and "
                "the longest not below the shortest"
            )
        if not 0 <= self.removal <= 1:
            raise UsageError(f"removal is {self.removal}; allowed is 0 to 1")
        if not 0 < self.least <= self.most <= 1:
            raise UsageError(
                f"a crop takes {self.least} to {self.most} of a document; allowed is above 0 to 1, "
                "and the most not below the least"
            )


@dataclass(frozen=True, slots=True)
class GeneratedPair:
    """A query of some kind, what answers it, and the id of the document both come from."""

    query: str
    positive: str
    kind: str
    document: str


def generate(
    documents: Iterable[Document], settings: QueryGeneration, seed: int = 0
) -> Iterator[GeneratedPair]:
    """The pairs of each document, in the order of documents and of ``settings.kinds``.

    What is drawn from a document depends on its texts, the settings and the seed, not on other
    documents. A pair without words, or of two equal texts, is left out; so is one that the
    document gave already.
    """
    for document in documents:
        seen = set()
        for kind in settings.kinds:
            parts = (str(seed), kind, document.title, document.text)
            draw = random.Random(text_hash(*parts))  # noqa: S311
            for query, positive in KINDS[kind](document, settings, draw):
                pair = query.strip(), positive.strip()
                worded = all(any(map(str.isalnum, text)) for text in pair)
                if worded and normal(query) != normal(positive) and pair not in seen:
                    seen.add(pair)
                    yield GeneratedPair(*pair, kind, document.id)


Pairs = Iterator[tuple[str, str]]


def _title(document: Document, settings: QueryGeneration, draw: random.Random) -> Pairs:
    """The title, answered by the text."""
    yield document.title, document.text


def _headings(document: Document, settings: QueryGeneration, draw: random.Random) -> Pairs:
    """Each heading, answered by what stands between it and the next."""
    lines = document.text.splitlines()
    places = list(heading_places(lines))
    ends = [*(start for start, _, _ in places), len(lines)][1:]
    for (_, begin, heading), end in zip(places, ends, strict=True):
        yield heading, "\n".join(lines[begin:end])


def heading_places(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """Line of each heading, line where its section begins, and its text.

    A heading is marked by #, or underlined, or a short line that begins like a sentence and does
    not end like one, with a blank line before it and another line behind it.
    """
    for number, line in enumerate(lines):
        text = line.strip()
        below = lines[number + 1].strip() if number + 1 < len(lines) else ""
        if marked := MARKED_HEADING.fullmatch(text):
            yield number, number + 1, marked["text"]
        elif text and UNDERLINE.fullmatch(below) and not UNDERLINE.fullmatch(text):
            yield number, number + 2, text
        elif (number == 0 or not lines[number - 1].strip()) and _stands_alone(text, lines, number):
            yield number, number + 1, text


def _stands_alone(text: str, lines: list[str], number: int) -> bool:
    short = 0 < len(text.split()) <= LONGEST_HEADING and number + 1 < len(lines)
    return short and (text[0].isupper() or text[0].isdigit()) and text[-1].isalnum()


def _spans(document: Document, settings: QueryGeneration, draw: random.Random) -> Pairs:
    """Inverse cloze task of Lee et al. 2019: a span, answered by what stands around it."""
    words = document.contents.split()
    for _ in range(settings.per_document):
        # Half of the document or more stays, so that there is something to find.
        longest = min(settings.longest, len(words) // 2)
        if longest < settings.shortest:
            return
        length = draw.randint(settings.shortest, longest)
        start = draw.randint(0, len(words) - length)
        end = start + length
        removed = draw.random() < settings.removal
        around = words[:start] + words[end:] if removed else words
        yield " ".join(words[start:end]), " ".join(around)


def _crops(document: Document, settings: QueryGeneration, draw: random.Random) -> Pairs:
    """Independent cropping of Izacard et al. 2021: two spans, which may overlap."""
    words = document.contents.split()
    for _ in range(settings.per_document):
        crops = []
        for _ in range(2):
            share = draw.uniform(settings.least, settings.most)
            length = min(max(settings.shortest, round(share * len(words))), len(words))
            start = draw.randint(0, len(words) - length)
            crops.append(" ".join(words[start : start + length]))
        yield crops[0], crops[1]


def _keywords(document: Document, settings: QueryGeneration, draw: random.Random) -> Pairs:
    """Some of the words of highest weight, in the order of the text.

    A word's weight is its count times the logarithm of its rank in the English word pieces of
    BERT, which are sorted by frequency: by Zipf's law that is an IDF that needs no collection.
    """
    words = [word for word in WORD.findall(document.contents.lower()) if word not in STOP_WORDS]
    counts = Counter(word for word in words if len(word) > 1)
    ranked = sorted(counts, key=lambda word: (-counts[word] * _rarity(word), word))
    for _ in range(settings.per_document):
        # Out of twice as many, so that one document can give several queries.
        best = ranked[: 2 * settings.keywords]
        count = min(draw.randint(min(2, settings.keywords), settings.keywords), len(best))
        chosen = set(draw.sample(best, count))
        yield " ".join(dict.fromkeys(w for w in words if w in chosen)), document.contents


def _rarity(word: str) -> float:
    terms = _terms()
    return math.log(2 + terms.get(word, len(terms)))


@cache
def _terms() -> dict[str, int]:
    return dict(Vocabulary.bert_uncased().terms)


KINDS: dict[str, Callable[[Document, QueryGeneration, random.Random], Pairs]] = {
    "title": _title,
    "heading": _headings,
    "span": _spans,
    "crop": _crops,
    "keywords": _keywords,
}
