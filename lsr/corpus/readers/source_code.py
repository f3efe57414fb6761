"""Documents from source code: the text as it is, with the places of its functions and classes."""

from __future__ import annotations

import re

from lsr.corpus.documents import Section
from lsr.corpus.readers.file_text import FileText, decoded

# Lines that begin a definition in the languages that have a word for it.
DEFINITION = re.compile(
    r"^[ \t]*(?:(?:export|default|pub(?:\([a-z]+\))?|public|private|protected|static|abstract|"
    r"async|final|unsafe|inline|local)[ \t]+)*"
    r"(?:def|class|func|fn|function|sub|proc|procedure|interface|struct|enum|trait|impl|module|"
    r"namespace|defun|type)[ \t]+(?P<name>[^\W\d][\w.:]*)",
    re.MULTILINE,
)


def read_source_code(data: bytes) -> FileText:
    """The file's text; a section is a definition with a word of its own, as ``def`` or ``class``.

    Raises:
        InputError: it is no text.
    """
    text, notes = decoded(data)
    sections = tuple(Section(found.start(), found["name"]) for found in DEFINITION.finditer(text))
    return FileText(text, sections=sections, notes=notes)
