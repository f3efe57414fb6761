"""Documents from reStructuredText: the text as it was written, with the places of its headings."""

from __future__ import annotations

import re

from lsr.corpus.documents import Section
from lsr.corpus.readers.file_text import FileText, decoded

# A line, and under it one of the same punctuation mark that is at least as long.
HEADING = re.compile(
    r"^(?P<over>([^\w\s])\2+[ \t]*\r?\n)?[ \t]*(?P<text>\S[^\r\n]*?)[ \t]*\r?\n"
    r"(?P<under>([^\w\s])\5+)[ \t]*\r?$",
    re.MULTILINE,
)


def read_restructured_text(data: bytes) -> FileText:
    """The title is the first heading.

    Raises:
        InputError: it is no text.
    """
    text, notes = decoded(data)
    sections = tuple(
        Section(found.start("text"), found["text"])
        for found in HEADING.finditer(text)
        if len(found["under"]) >= len(found["text"]) and re.search(r"\w", found["text"])
    )
    return FileText(text, sections[0].heading if sections else "", sections, notes)
