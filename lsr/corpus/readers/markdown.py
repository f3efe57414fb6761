"""Documents from Markdown: the text as it was written, with the places of its headings."""

from __future__ import annotations

import re
from itertools import pairwise

from lsr.corpus.documents import Section
from lsr.corpus.readers.file_text import FileText, decoded

FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(?:.*\r?\n){0,200}?(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)")
TITLE = re.compile(r"^title:[ \t]*(['\"]?)(?P<title>\S.*?)\1[ \t]*\r?$", re.MULTILINE)
LINE_END = re.compile(r"\r\n?|\n")


def read_markdown(data: bytes) -> FileText:
    """The title is that of its front matter, or its first heading.

    Raises:
        InputError: it is no text.
    """
    from markdown_it import MarkdownIt

    text, notes = decoded(data)
    front = FRONT_MATTER.match(text)
    begin = front.end() if front else 0
    starts = [begin, *(found.end() for found in LINE_END.finditer(text, begin))]
    tokens = MarkdownIt("commonmark").disable("inline").parse(text[begin:])
    sections = []
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open" and opening.map and inline.content.strip():
            heading = " ".join(inline.content.split())
            sections.append(Section(starts[opening.map[0]], heading))
    named = TITLE.search(front[0]) if front else None
    title = named["title"] if named else sections[0].heading if sections else ""
    return FileText(text, title, tuple(sections), notes)
