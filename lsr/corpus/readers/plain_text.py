"""Documents from text files: a file is a document."""

from __future__ import annotations

from lsr.corpus.readers.file_text import FileText, decoded


def read_plain_text(data: bytes) -> FileText:
    """The text as it is.

    Raises:
        InputError: it is no text.
    """
    text, notes = decoded(data)
    return FileText(text, notes=notes)
