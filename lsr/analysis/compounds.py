"""What is searched as a whole besides in parts: part numbers, versions, C++, addresses, URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lsr.analysis.segmentation import LONGEST_WORD, Segment, words

_URL = r"(?:(?:https?|ftp)://|www\.)[^\s<>\"']+"
_EMAIL = r"(?<![\w.+-])[\w.+-]{1,64}@\w[\w-]*+(?:\.[\w-]++)++"
# C++, C#, g++; .NET, .gitignore, where a word begins.
_SIGNED = r"(?<![\w.])[A-Za-z]\w*(?:\+\+|\#)(?![\w+#])|(?<![^\s(\[\"'])\.[A-Za-z]\w+(?![\w+#])"
# Letters and digits with signs between: AB-1234/X, COVID-19, 2.3.1-rc1, 2026-11-26.
_NAMED = r"(?<![\w@])[^\W_]++(?:[-./:+_][^\W_]++)++"
_COMPOUND = re.compile(
    f"(?P<url>{_URL})|(?P<email>{_EMAIL})|(?P<signed>{_SIGNED})|(?P<named>{_NAMED})"
)
# What every compound has, and mostly nothing else.
_SIGN = re.compile(r"[-/:_#@.](?=\w)|\+\+|\#|\+(?=\w)")
_SPACE = re.compile(r"\s")
_SCHEME = re.compile(r"(?:(?:https?|ftp)://)?(?:www\.)?", re.IGNORECASE)


def compounds(text: str) -> Iterator[Segment]:
    """The compounds of a text in reading order; a URL without its scheme and ``www``.

    Besides, the parts of names and addresses that ``segments`` leaves joined by dots and
    underscores. What ``segments`` has as a whole does not come again.
    """
    done = 0
    while sign := _SIGN.search(text, done):
        place = sign.start()
        start = max(text.rfind(" ", done, place), text.rfind("\n", done, place), done - 1) + 1
        end = _SPACE.search(text, place)
        done = end.end() if end else len(text)
        for match in _COMPOUND.finditer(text, start, done):
            yield from _found(match)


def _found(match: re.Match[str]) -> Iterator[Segment]:
    kind, found, start = match.lastgroup, match[0], match.start()
    if kind == "url":
        found = found.rstrip(".,;:!?)]}/")
        scheme = _SCHEME.match(found)
        start += len(scheme[0]) if scheme else 0
        found = found[len(scheme[0]) if scheme else 0 :]
    numbered = any(map(str.isdigit, found))
    whole = kind != "named" or (numbered and words(found) != [found])
    if whole and 0 < len(found) <= LONGEST_WORD:
        yield Segment(found, start, start + len(found))
    if kind != "signed":
        yield from _joined_parts(found, start, dots=2 if kind == "named" else 1)


def _joined_parts(found: str, start: int, dots: int) -> Iterator[Segment]:
    """Parts of what UAX #29 joins: by an underscore, or by so many dots."""
    for joined in re.finditer(r"[\w.]+", found):
        if "_" not in joined[0] and joined[0].count(".") < dots:
            continue
        place = start + joined.start()
        for part in re.finditer(r"[^\W_]+", joined[0]):
            if part[0] != joined[0]:
                yield Segment(part[0], place + part.start(), place + part.end())
