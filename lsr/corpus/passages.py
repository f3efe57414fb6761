"""Passages: the parts of a long document that are encoded and found one by one.

A passage ends where a page, a section or a sentence does, has about 180 words, and carries the
heading that it stands under. Together the passages of a document hold all of its text. The first
goes on to the end of the second, for encoders read more than 180 words: so it is encoded as the
document would be if it were not split, and nothing ranks lower for being split.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from lsr.corpus.documents import Document, Section

# Words of a passage; a script without spaces has a word in every two of its letters.
WORDS = 180
# A word of more letters counts for several, as encoders cut it in pieces.
WORD = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff"
    r"\U00020000-\U0003ffff]{1,2}|[^\W_]{1,12}"
)
# Where a part may end, the best first: after a blank line, a sentence, a line, and white space.
ENDS = (
    re.compile(r"\n[ \t\r]*\n\s*"),
    re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？；។။])"),
    re.compile(r"\n\s*"),
    re.compile(r"\s+"),
)
# Characters of a part without white space, as hashes and tables of numbers have.
LONGEST_RUN = 1000
# Characters of the title that go before a passage.
LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class Passage:
    """The characters [start, end) of a document's text.

    ``heading`` is what stands over it, and ``page`` its page, counted from 1, where they are known.
    """

    start: int
    end: int
    heading: str = ""
    page: int | None = None

    def contents(self, document: Document) -> str:
        """The text that encoders see of it: the document's title, the heading, and the passage."""
        text = document.text[self.start : self.end]
        heading = "" if self.heading in text[: 2 * len(self.heading) + 10] else self.heading
        title = document.title[:LONGEST_TITLE]
        return " ".join(part for part in (title, heading, text) if part.strip()).strip()


def split_document(document: Document, words: int = WORDS) -> list[Passage]:
    """The passages of a document, in order, without the white space between them.

    The first holds the second too, where this is on the same page.

    Args:
        document: with the sections that its reader saw, if it saw some.
        words: of a passage but the first, at most; parts of one sentence are about as long.

    Returns:
        At least one passage of a text that isn't blank.
    """
    text = document.text
    sections = [each for each in document.sections if 0 <= each.start < len(text)]
    starts = [section.start for section in sections]
    passages = []
    for start, end in _spans(text, sections, words):
        place = bisect_right(starts, start) - 1
        section = sections[place] if place >= 0 else Section(0)
        passages.append(Passage(start, end, section.heading, section.page))
    if len(passages) > 1 and passages[0].page == passages[1].page:
        passages[0] = replace(passages[0], end=passages[1].end)
    return passages


def sections_of(passages: Sequence[Passage]) -> list[Section]:
    """The places of a document where pages and headings begin, as far as its passages tell."""
    found: list[Section] = []
    for passage in passages:
        if not found or (found[-1].heading, found[-1].page) != (passage.heading, passage.page):
            found.append(Section(passage.start, passage.heading, passage.page))
    return found


def contents(documents: Sequence[Document], passages: Sequence[Sequence[Passage]]) -> list[str]:
    """What encoders see: a text for each row of vectors.

    ``passages`` are those of each document, none where it is not split; empty: none is.
    """
    if not passages:
        return [document.contents for document in documents]
    return [
        text
        for document, parts in zip(documents, passages, strict=True)
        for text in ([part.contents(document) for part in parts] or [document.contents])
    ]


def count_words(text: str, start: int = 0, end: int | None = None) -> int:
    """Words between two places; a long one counts for several."""
    return sum(1 for _ in WORD.finditer(text, start, len(text) if end is None else end))


def _spans(text: str, sections: Sequence[Section], words: int) -> Iterator[tuple[int, int]]:
    for start, end in _regions(text, sections, words):
        yield from _packed(text, start, end, words)


def _regions(text: str, sections: Sequence[Section], words: int) -> Iterator[tuple[int, int]]:
    """Parts that no passage crosses: pages, and sections, small ones together."""
    cuts = [0]
    page, size, last = None, 0, 0
    for section in sections:
        size += count_words(text, last, section.start)
        last = section.start
        if section.start > cuts[-1] and (section.page != page or 2 * size >= words):
            cuts.append(section.start)
            size = 0
        page = section.page
    yield from pairwise([*cuts, len(text)])


def _packed(text: str, start: int, end: int, words: int) -> Iterator[tuple[int, int]]:
    """Sentences of a part together; the last passage reaches back, to be as long as the others."""
    start, end = _trimmed(text, start, end)
    if count_words(text, start, end) <= words:
        if start < end:
            yield start, end
        return
    sentences = list(_sentences(text, start, end, words))
    sizes = [count_words(text, *sentence) for sentence in sentences]
    first, filled = 0, 0
    for place, size in enumerate(sizes):
        if filled and filled + size > words:
            yield _trimmed(text, sentences[first][0], sentences[place][0])
            first, filled = place, 0
        filled += size
    while first > 0 and filled + sizes[first - 1] <= words:
        first -= 1
        filled += sizes[first]
    yield _trimmed(text, sentences[first][0], end)


def _sentences(
    text: str, start: int, end: int, words: int, level: int = 0
) -> Iterator[tuple[int, int]]:
    """Spans that cover a part and are no longer than a passage, cut at the best ends there are."""
    if level == len(ENDS):
        for begin in range(start, end, LONGEST_RUN):
            yield begin, min(begin + LONGEST_RUN, end)
        return
    cuts = [found.end() for found in ENDS[level].finditer(text, start, end)]
    for begin, stop in pairwise([start, *(cut for cut in cuts if start < cut < end), end]):
        small = count_words(text, begin, stop) <= words
        if level == 0 or not small:
            yield from _sentences(text, begin, stop, words, level + 1)
        else:
            yield begin, stop


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())
