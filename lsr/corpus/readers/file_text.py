"""The text of a file that is one document, with the places where its parts begin."""

from __future__ import annotations

from dataclasses import dataclass

from lsr.corpus.documents import Section
from lsr.corpus.files import LONGEST_LINE
from lsr.corpus.text_encoding import FALLBACK, decode_text
from lsr.errors import InputError

AS_FALLBACK = "read as Windows-1252, being no UTF-8"


@dataclass(frozen=True, slots=True)
class FileText:
    """What a file says.

    ``title`` is empty where the file has none; ``sections`` as in ``Document``. ``notes`` are
    phrases on how it was read, for the line that sums up a folder.
    """

    text: str
    title: str = ""
    sections: tuple[Section, ...] = ()
    notes: tuple[str, ...] = ()


def decoded(data: bytes, declared: str | None = None) -> tuple[str, tuple[str, ...]]:
    """A file's text, and the notes on how it was read."""
    text, encoding = decode_text(data, declared)
    return text, (AS_FALLBACK,) if encoding == FALLBACK and declared is None else ()


class TextWriter:
    """Blocks of text with an empty line between, and the sections that begin with some."""

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._length = 0
        self._sections: list[Section] = []
        self._page: int | None = None

    def block(self, text: str) -> None:
        """Append a block, unless it is blank."""
        text = text.strip("\n").rstrip()
        if text.strip():
            self._blocks.append(text)
            self._length += len(text) + 2
        if self._length > LONGEST_LINE:
            raise InputError(f"its text is longer than {LONGEST_LINE >> 20} MiB; split it")

    def heading(self, text: str) -> None:
        """Append a heading; a section begins with it."""
        text = " ".join(text.split())
        if text:
            self._sections.append(Section(self._length, text, self._page))
            self.block(text)

    def page(self, number: int) -> None:
        """Begin a page."""
        self._page = number
        self._sections.append(Section(self._length, "", number))

    def finish(self, title: str = "", notes: tuple[str, ...] = ()) -> FileText:
        """What was written."""
        return FileText("\n\n".join(self._blocks), title, tuple(self._sections), notes)
