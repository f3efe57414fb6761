"""Unicode word segmentation (UAX #29), with bigrams for scripts that put no spaces."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import NamedTuple

# As in Lucene's StandardTokenizer, a longer word is cut into words of this length.
LONGEST_WORD = 255
_MARKS = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]*"
# Rules WB5 to WB13b over classes of what words are of, of letters, digits, and what joins two
# letters, or two digits.
_JOINED = "(?<={L}){ML}(?={L})|(?<={N}){MN}(?={N})"
_WORD = "{W}++(?:(?:" + _JOINED + "){W}++)*+"
# WB7a to WB7c: an apostrophe ends a Hebrew word, a quotation mark joins the letters of another.
_UNICODE_WORD = "{W}++(?:(?:" + _JOINED + "|(?<={H}){Q}(?={H})){W}++)*+(?:(?<={H}){A})?+"
_ASCII = {"W": "[A-Za-z0-9_]", "L": "[A-Za-z]", "N": "[0-9]", "ML": "[.':]", "MN": "[.,;']"}
_LETTER = r"[[\p{WB=ALetter}\p{WB=Hebrew_Letter}]--\p{Script=Hangul}]"
_UNICODE = {
    "W": rf"(?:[{_LETTER}\p{{WB=Numeric}}\p{{WB=ExtendNumLet}}]{_MARKS})",
    "L": rf"(?:{_LETTER}{_MARKS})",
    "N": rf"(?:\p{{WB=Numeric}}{_MARKS})",
    "ML": rf"(?:[\p{{WB=MidLetter}}\p{{WB=MidNumLet}}\p{{WB=Single_Quote}}]{_MARKS})",
    "MN": rf"(?:[\p{{WB=MidNum}}\p{{WB=MidNumLet}}\p{{WB=Single_Quote}}]{_MARKS})",
    "H": rf"(?:\p{{WB=Hebrew_Letter}}{_MARKS})",
    "Q": rf"(?:\p{{WB=Double_Quote}}{_MARKS})",
    "A": rf"(?:\p{{WB=Single_Quote}}{_MARKS})",
}
# Letters that UAX #29 gives no rule for, as a dictionary is needed (Han, Hiragana, Thai, Lao,
# Khmer, Myanmar, ...), with Katakana and Hangul, as in Lucene's CJKAnalyzer.
_UNSPACED_LETTER = (
    r"[[\p{L}--[\p{WB=ALetter}\p{WB=Hebrew_Letter}]]\p{WB=Katakana}\p{Script=Hangul}]"
)
_EMOJI = r"(?:\p{RI}{2}|[\p{Extended_Pictographic}--[\u0000-\u22FF]]\p{EMod}?)"


class Segment(NamedTuple):
    """A word, a bigram or an emoji: its text, and the characters ``text[start:end]`` it is of."""

    text: str
    start: int
    end: int


def words(text: str) -> list[str]:
    """The texts of ``segments``."""
    if text.isascii():
        found = _ascii_words().findall(text)
        if max(map(len, found), default=0) <= LONGEST_WORD:
            return [word for word in found if word.strip("_")]
    return [segment.text for segment in segments(text)]


def segments(text: str) -> Iterator[Segment]:
    """The words of a text in reading order.

    Letters of scripts without spaces come as bigrams, a letter with its marks being one; one that
    stands alone as itself. Punctuation comes not at all.
    """
    done = 0
    # No rule joins what white space parts, and the ASCII pattern is many times faster.
    for match in _not_ascii().finditer(text):
        yield from _ascii_segments(text[done : match.start()], done)
        yield from _unicode_segments(match[0], match.start())
        done = match.end()
    yield from _ascii_segments(text[done:], done)


def _ascii_segments(text: str, offset: int) -> Iterator[Segment]:
    for match in _ascii_words().finditer(text):
        if match[0].strip("_"):
            yield from _cut(match[0], offset + match.start())


def _unicode_segments(text: str, offset: int) -> Iterator[Segment]:
    for match in _unicode_words().finditer(text):
        found, start = match[0], offset + match.start()
        if match.lastgroup == "unspaced":
            yield from _bigrams(found, start)
        elif match.lastgroup == "emoji":
            yield Segment(found.replace("\ufe0f", ""), start, start + len(found))
        elif any(map(str.isalnum, found)):
            yield from _cut(found, start)


def _cut(word: str, start: int) -> Iterator[Segment]:
    for place in range(0, len(word), LONGEST_WORD):
        part = word[place : place + LONGEST_WORD]
        yield Segment(part, start + place, start + place + len(part))


def _bigrams(run: str, start: int) -> Iterator[Segment]:
    clusters = [(match.start(), match.end()) for match in _clusters().finditer(run)]
    pairs = pairwise(clusters) if clusters[1:] else [(clusters[0],) * 2]
    for (a, _), (_, b) in pairs:
        yield Segment(run[a:b], start + a, start + b)


@cache
def _ascii_words() -> re.Pattern[str]:
    return re.compile(_WORD.format(**_ASCII))


@cache
def _not_ascii() -> re.Pattern[str]:
    return re.compile(r"(?<!\S)\S*[^\x00-\x7f\s]\S*")


@cache
def _unicode_words() -> re.Pattern[str]:
    import regex

    word = _UNICODE_WORD.format(**_UNICODE)
    unspaced = rf"(?:{_UNSPACED_LETTER}[\p{{M}}\p{{WB=Extend}}]*)+"
    emoji = rf"{_EMOJI}(?:\uFE0F|\u200D{_EMOJI})*"
    found: re.Pattern[str] = regex.compile(
        f"(?V1)(?P<word>{word})|(?P<unspaced>{unspaced})|(?P<emoji>{emoji})"
    )
    return found


@cache
def _clusters() -> re.Pattern[str]:
    import regex

    found: re.Pattern[str] = regex.compile(r"(?V1)\P{M}[\p{M}\p{WB=Extend}]*")
    return found


def normal(word: str) -> str:
    """A word as it is compared: compatibility forms folded (NFKC), no invisible characters."""
    if word.isascii():
        return word
    folded = unicodedata.normalize("NFKC", word)
    return "".join(c for c in folded if unicodedata.category(c) != "Cf" or c == "\u200d")
