"""Documents from PDF: the text of each page."""

from __future__ import annotations

import io
import logging

from lsr.corpus.readers.file_text import FileText, TextWriter
from lsr.errors import InputError, MissingDependencyError


def read_pdf(data: bytes) -> FileText:
    """The pages with text; each is a section. A page that can't be read is left out and noted.

    Raises:
        MissingDependencyError: pypdf is not installed.
        InputError: it is no PDF, needs a password, or holds no text.
    """
    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ImportError as error:
        raise MissingDependencyError("PDF", "pypdf", "files") from error
    # It tells of every small fault of a file, of which most are harmless.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    # Files from outside make pypdf raise nearly anything.
    broken = (PyPdfError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError,
              RecursionError, NotImplementedError, AssertionError, OSError)  # fmt: skip
    writer, unread = TextWriter(), 0
    try:
        reader = PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise InputError("it is encrypted; save it without a password")
        pages = len(reader.pages)
        title = reader.metadata.title if reader.metadata else None
    except broken as error:
        raise InputError(
            f"it is no PDF that can be read: {error or type(error).__name__}"
        ) from None
    for number in range(pages):
        try:
            text = reader.pages[number].extract_text()
        except broken:
            unread += 1
            continue
        writer.page(number + 1)
        writer.block(text.encode("utf-8", "replace").decode())
    notes = (f"with {unread} of {pages} pages that can't be read",) if unread else ()
    found = writer.finish(" ".join(str(title or "").split()), notes)
    if not found.text:
        raise InputError("it holds no text, as scans do; recognise its text (OCR) first")
    return found
