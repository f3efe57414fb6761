"""The hand-off to a reader: the best passages of an answer, for a generator's prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from index.search.config import check_context_tokens
from index.search.hits import Hit
from lsr.corpus.documents import Document

# Bytes of UTF-8 to a token, as byte-pair encodings have of English.
BYTES_A_TOKEN = 4
APART = "\n\n"
# Texts that share this part of their runs of words are one.
ALIKE = 0.8
RUN = 5
SENTENCE_END = re.compile(r"[.!?…。！？।]+[\"'”’)\]]*(?=\s|$)|\n\s*\n")


@dataclass(frozen=True, slots=True)
class ContextPassage:
    """One passage of a context: the characters [start, end) of a document's text."""

    # As the passage is cited: 1 for [1].
    number: int
    # Of the document.
    id: str
    title: str
    text: str
    start: int
    end: int
    tokens: int
    heading: str = ""
    page: int | None = None
    # Whether the passage, or the document where it is not split, goes on after ``end``.
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """Passages in the order of the hits, ``tokens`` together; those of a text seen before left out.

    Tokens are counted as a quarter of the bytes, rounded up: a generator's own count differs.
    """

    passages: tuple[ContextPassage, ...]
    tokens: int
    # Hits whose passage says what one before says.
    duplicates: int

    @property
    def text(self) -> str:
        """The passages one after the other, each behind its number and title."""
        return APART.join(_block(each) for each in self.passages)


def tokens_of(text: str) -> int:
    """About how many tokens a text has."""
    return -(-len(text.encode()) // BYTES_A_TOKEN)


def context_of(hits: Sequence[Hit], most_tokens: int) -> Context:
    """The best passage of each hit until the tokens are used up; the last one may be cut.

    Args:
        hits: with their documents, best first.
        most_tokens: of the whole text.

    Raises:
        InputError: the number of tokens is not allowed.
    """
    check_context_tokens(most_tokens)
    passages: list[ContextPassage] = []
    seen: list[set[tuple[str, ...]]] = []
    used = duplicates = 0
    for hit in hits:
        if hit.document is None:
            continue
        whole = _passage(hit, hit.document, len(passages) + 1)
        runs = _runs(whole.text)
        if any(_alike(runs, other) for other in seen):
            duplicates += 1
            continue
        fitting = _fitting(whole, most_tokens - used)
        if fitting is None:
            break
        seen.append(runs)
        passages.append(fitting)
        used += fitting.tokens
        if fitting.cut:
            break
    return Context(tuple(passages), used, duplicates)


def _passage(hit: Hit, document: Document, number: int) -> ContextPassage:
    found = hit.passage
    start, end = (0, len(document.text)) if found is None else (found.start, found.end)
    heading, page = ("", None) if found is None else (found.heading, found.page)
    text = document.text[start:end]
    return ContextPassage(number, hit.id, document.title, text, start, end, 0, heading, page)


def _fitting(passage: ContextPassage, tokens: int) -> ContextPassage | None:
    """The passage, or as many sentences from its start as fit; None: not one does."""
    whole = counted(passage)
    if whole.tokens <= tokens:
        return whole
    room = BYTES_A_TOKEN * tokens - len(_block(replace(passage, text="")).encode()) - len(APART)
    within = passage.text.encode()[: max(0, room)].decode(errors="ignore")
    ends = [match.end() for match in SENTENCE_END.finditer(passage.text, 0, len(within))]
    if not ends:
        return None
    shorter = replace(passage, text=passage.text[: ends[-1]], end=passage.start + ends[-1])
    return replace(counted(shorter), cut=True)


def counted(passage: ContextPassage) -> ContextPassage:
    """The passage with the number of its tokens, as it stands in the text of a context."""
    return replace(passage, tokens=tokens_of(_block(passage) + APART))


def _block(passage: ContextPassage) -> str:
    head = " · ".join(part for part in (passage.title, passage.heading) if part)
    page = "" if passage.page is None else f" (page {passage.page})"
    return f"[{passage.number}] {head}{page}\n{passage.text}"


def _runs(text: str) -> set[tuple[str, ...]]:
    """The runs of five words of a text; of a shorter one, all of it."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + RUN]) for i in range(max(1, len(words) - RUN + 1))}


def _alike(first: set[tuple[str, ...]], second: set[tuple[str, ...]]) -> bool:
    smaller = min(len(first), len(second))
    return len(first & second) >= ALIKE * smaller
