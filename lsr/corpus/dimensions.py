"""Dimensions: the phrases of a document by what they are, found in its text.

Hypercube-RAG (Shi et al. 2025) indexes documents by the cells of a cube of dimensions, such as
date, name and theme. These are the extractors that find the phrases of one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lsr.corpus.documents import Document
from lsr.errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    from lsr.chat import ChatEndpoint
    from lsr.encoders.encoder import SparseEncoder

# Phrases of one dimension of a document, and characters of each.
MOST_PHRASES = 12
LONGEST_PHRASE = 80
# Words of a key phrase; characters of a text in which they are looked for.
PHRASE_WORDS = 3
LONGEST_TEXT = 20_000
MONTHS = (
    "January|February|March|April|May|June|July|August|September|October|November|December"
    "|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
)
YEAR = r"(?:1[5-9]|20)\d\d"
DATE = re.compile(
    rf"\b{YEAR}-\d\d-\d\d\b"
    rf"|\b(?:\d{{1,2}}(?:st|nd|rd|th)?\s+)?(?:{MONTHS})\.?,?\s+{YEAR}\b"
    rf"|\b(?:{MONTHS})\.?\s+\d{{1,2}}(?:st|nd|rd|th)?,\s+{YEAR}\b"
    rf"|\b{YEAR}\b"
)
# Capitalised words, with the small words that join them: Isaac Newton, Bank of England.
NAME = re.compile(
    r"\b[^\W\d_a-zà-ÿ][\w'’-]*(?:(?:\s+(?:of|the|de|da|van|von|der|la|le|and|for))*"
    r"\s+[^\W\d_a-zà-ÿ][\w'’-]*)*"
)
SENTENCE = re.compile(r"(?:^|[.!?:;]\s+|\n\s*)$")
Extractor = Callable[[Sequence[Document]], list[list[str]]]
"""The phrases of each document, the most telling first."""


def find_dates(text: str) -> list[str]:
    """Dates and years as the text spells them, the most frequent first."""
    return _frequent(match.group() for match in DATE.finditer(text))


def find_names(text: str) -> list[str]:
    """Runs of capitalised words, the most frequent first.

    One alone at the beginning of a sentence counts only where it stands elsewhere too.
    """
    inside: list[str] = []
    first: list[str] = []
    for match in NAME.finditer(text):
        name = match.group()
        begins = SENTENCE.search(text, 0, match.start()) is not None
        if len(name) > 1:
            (first if begins and " " not in name else inside).append(name)
    known = set(inside)
    return _frequent([*inside, *(name for name in first if name in known)])


def find_phrases(documents: Sequence[Document]) -> list[list[str]]:
    """Key phrases of up to three words, by YAKE (Campos et al. 2020), the most telling first.

    Raises:
        MissingDependencyError: yake is not installed.
    """
    try:
        import yake
    except ImportError as error:
        raise MissingDependencyError("key phrases", "yake", "dimensions") from error
    extractor = yake.KeywordExtractor(lan="en", n=PHRASE_WORDS, top=MOST_PHRASES)
    return [
        [phrase for phrase, _ in extractor.extract_keywords(document.contents[:LONGEST_TEXT])]
        for document in documents
    ]


def themes_of(encoder: SparseEncoder) -> Extractor:
    """The heaviest terms of a learned encoder that a text does not have: what it is about."""

    def find_themes(documents: Sequence[Document]) -> list[list[str]]:
        rows = encoder.encode_documents([document.contents for document in documents])
        size = encoder.vocabulary.size
        found = []
        for document, row in zip(documents, rows, strict=True):
            text = document.contents.lower()
            heaviest = sorted(zip(-row.values, row.indices, strict=True))
            tokens = (encoder.vocabulary.token(int(t)) for _, t in heaviest if t < size)
            themes = [each for each in tokens if len(each) > 2 and each.isalpha()]
            found.append([each for each in themes if each not in text][:MOST_PHRASES])
        return found

    return find_themes


def asked_of(endpoint: ChatEndpoint) -> Extractor:
    """Phrases that a chat model finds, a document at a time; none where it answers no JSON list."""
    from lsr.chat import ChatError

    def find(document: Document) -> list[str]:
        prompt = (
            f"List at most {MOST_PHRASES} short phrases that name what this text is about: themes, "
            "places, people, organisations, events. Answer with a JSON list of strings, nothing "
            f"else.\n\n{document.contents[:LONGEST_TEXT]}"
        )
        try:
            answer = endpoint.complete(prompt)
            listed = json.loads(answer[answer.find("[") : answer.rfind("]") + 1])
        except (ChatError, ValueError, RecursionError):
            return []
        return [each for each in listed if isinstance(each, str)]

    return lambda documents: [find(document) for document in documents]


def extractors_of(
    names: Iterable[str], encoder: SparseEncoder | None = None
) -> dict[str, Extractor]:
    """The extractor of each dimension.

    Args:
        names: of ``DIMENSIONS``.
        encoder: a learned one, for themes.

    Raises:
        UsageError: there is no such dimension, or it lacks what it needs.
    """
    found: dict[str, Extractor] = {}
    for name in names:
        if name not in DIMENSIONS:
            raise UsageError(f"the dimension is {name!r}; allowed are {', '.join(DIMENSIONS)}")
        if name == "themes":
            if encoder is None:
                raise UsageError(
                    "themes are terms of a learned encoder, and this collection has none; leave "
                    "themes out"
                )
            found[name] = themes_of(encoder)
        elif name == "chat":
            from lsr.chat import ChatEndpoint

            found[name] = asked_of(ChatEndpoint.from_environment())
        else:
            found[name] = _OF_TEXT[name]
    return found


def extract(
    documents: Sequence[Document], extractors: Mapping[str, Extractor]
) -> list[dict[str, list[str]]]:
    """For each document the phrases of each dimension; distinct, at most ``MOST_PHRASES``."""
    found: list[dict[str, list[str]]] = [{} for _ in documents]
    for name, extractor in extractors.items():
        for each, phrases in zip(found, extractor(documents), strict=True):
            tidy = (" ".join(phrase.split())[:LONGEST_PHRASE] for phrase in phrases)
            each[name] = list(dict.fromkeys(phrase for phrase in tidy if phrase))[:MOST_PHRASES]
    return found


def _frequent(phrases: Iterable[str]) -> list[str]:
    return [phrase for phrase, _ in Counter(phrases).most_common()]


def _of_text(find: Callable[[str], list[str]]) -> Extractor:
    return lambda documents: [find(document.contents[:LONGEST_TEXT]) for document in documents]


_OF_TEXT: dict[str, Extractor] = {
    "dates": _of_text(find_dates),
    "names": _of_text(find_names),
    "phrases": find_phrases,
}
DIMENSIONS = (*_OF_TEXT, "themes", "chat")
