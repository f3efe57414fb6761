"""The text form of filters: ``lang = en and year >= 2000 and not (kind in (a, b))``.

::

    filter    = all {"or" all}
    all       = part {"and" part}
    part      = "not" part | "(" filter ")" | condition
    condition = key ("=" | "!=" | "<" | "<=" | ">" | ">=") value
              | key ["not"] "in" "(" value {"," value} ")" | key ["not"] "exists"

A word without quotes is a number where JSON would read one (``2000``, ``-1.5e3``), true or false
a boolean, and all else a string; within single or double quotes all is a string, and a doubled
quote stands for one. Keys may be quoted too, as they must be where they are and, or, not, in or
exists; these words are told in any case. ``!=`` is Not of ``=``: it holds where there is no value.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from index.filters.tree import (
    DEEPEST_FILTER,
    And,
    Equals,
    Exists,
    Filter,
    In,
    Not,
    Or,
    Range,
    Scalar,
    check_size,
    join,
    too_deep,
)
from lsr.errors import InputError

LONGEST_TEXT = 1 << 16
TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*")"""
    r"""|(?P<mark><=|>=|!=|[=<>(),])|(?P<word>[^\s=<>!(),'"]+))"""
)
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
# Digits that Python converts; a longer integer is beyond any float.
LONGEST_NUMBER = 4000
KEYWORDS = {"and", "or", "not", "in", "exists"}
BOOLEANS = {"true": True, "false": False}
EXAMPLE = "write it as in: lang = en and year >= 2000 and not (kind in (a, b)) and author exists"


class Token(NamedTuple):
    """``kind`` is "quoted", "mark", "word" or, after the last, "end"."""

    kind: str
    text: str
    place: int

    def is_word(self, word: str) -> bool:
        """Whether this is the keyword."""
        return self.kind == "word" and self.text.lower() == word

    def is_mark(self, mark: str) -> bool:
        """Whether this is the mark."""
        return self.kind == "mark" and self.text == mark


def parse_filter_text(text: str) -> Filter:
    """The filter of a text.

    Raises:
        InputError: it is malformed, too deep or too large.
    """
    if len(text) > LONGEST_TEXT:
        raise InputError(f"the filter is longer than {LONGEST_TEXT} characters; shorten it")
    parsed = _Parser(_tokens(text)).parse()
    check_size(parsed)
    return parsed


def word_value(word: str) -> Scalar:
    """The number, boolean or string that a word without quotes is.

    Raises:
        InputError: it is a number that is not finite, or not valid Unicode.
    """
    if word.lower() in BOOLEANS:
        return Scalar.parse(BOOLEANS[word.lower()])
    if (number := NUMBER.fullmatch(word)) is None:
        return Scalar.parse(word)
    whole = number[2] is None and number[3] is None and len(word) < LONGEST_NUMBER
    return Scalar.parse(int(word) if whole else float(word))


def _tokens(text: str) -> list[Token]:
    tokens = []
    place, end = 0, len(text.rstrip())
    while place < end:
        match = TOKEN.match(text, place)
        if match is None:
            found = text[place:].lstrip()[:20]
            raise InputError(f"the filter can't be read at {found!r}; {EXAMPLE}")
        kind = str(match.lastgroup)
        tokens.append(Token(kind, match[kind], match.start(kind)))
        place = match.end()
    return [*tokens, Token("end", "its end", end)]


class _Parser:
    """Recursive descent over the tokens of one filter."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0

    def parse(self) -> Filter:
        parsed = self._any(DEEPEST_FILTER)
        if self._token.kind != "end":
            raise self._unexpected("and, or, or the end")
        return parsed

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _any(self, levels: int) -> Filter:
        parts = [self._all(levels)]
        while self._take_word("or"):
            parts.append(self._all(levels))
        return join(Or, parts)

    def _all(self, levels: int) -> Filter:
        parts = [self._part(levels)]
        while self._take_word("and"):
            parts.append(self._part(levels))
        return join(And, parts)

    def _part(self, levels: int) -> Filter:
        if levels == 0:
            raise too_deep()
        if self._take_word("not"):
            return Not(self._part(levels - 1))
        if self._take_mark("("):
            inner = self._any(levels - 1)
            self._expect(")")
            return inner
        return self._condition(self._key())

    def _condition(self, key: str) -> Filter:
        if self._take_word("not"):
            return Not(self._membership(key))
        if self._token.kind != "mark" or self._token.text in ("(", ")", ","):
            return self._membership(key)
        mark = self._take().text
        value = self._value()
        if mark in ("=", "!="):
            equal = Equals(key, value)
            return equal if mark == "=" else Not(equal)
        included = mark.endswith("=")
        if mark.startswith(">"):
            return Range(key, low=value, low_included=included)
        return Range(key, high=value, high_included=included)

    def _membership(self, key: str) -> Filter:
        if self._take_word("exists"):
            return Exists(key)
        if not self._take_word("in"):
            raise self._unexpected(f"=, !=, <, <=, >, >=, in or exists after {key[:40]!r}")
        self._expect("(")
        values = [self._value()]
        while self._take_mark(","):
            values.append(self._value())
        self._expect(")")
        return In(key, tuple(values))

    def _key(self) -> str:
        token = self._token
        if token.kind == "quoted" or (token.kind == "word" and token.text.lower() not in KEYWORDS):
            return _unquoted(self._take())
        raise self._unexpected("a key")

    def _value(self) -> Scalar:
        if self._token.kind not in ("quoted", "word"):
            raise self._unexpected("a value")
        token = self._take()
        if token.kind == "quoted":
            return Scalar.parse(_unquoted(token))
        return word_value(token.text)

    def _take(self) -> Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _take_word(self, word: str) -> bool:
        found = self._token.is_word(word)
        self._next += found
        return found

    def _take_mark(self, mark: str) -> bool:
        found = self._token.is_mark(mark)
        self._next += found
        return found

    def _expect(self, mark: str) -> None:
        if not self._take_mark(mark):
            raise self._unexpected(f"'{mark}'")

    def _unexpected(self, wanted: str) -> InputError:
        token = self._token
        found = token.text if token.kind == "end" else repr(token.text[:40])
        return InputError(
            f"the filter has {found} at character {token.place + 1} where it needs {wanted}; "
            f"{EXAMPLE}"
        )


def _unquoted(token: Token) -> str:
    if token.kind == "word":
        return token.text
    quote = token.text[0]
    return token.text[1:-1].replace(quote * 2, quote)
