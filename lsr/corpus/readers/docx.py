"""Documents from Word files (.docx): paragraphs and tables in their order, with headings."""

from __future__ import annotations

import io
import zipfile
import zlib

from lsr.corpus.readers.file_text import FileText, TextWriter
from lsr.errors import InputError, MissingDependencyError

LARGEST = 256 << 20


def read_docx(data: bytes) -> FileText:
    """The title is the one of the file's properties, or its first heading.

    Raises:
        MissingDependencyError: python-docx is not installed.
        InputError: it is no such file, or unpacks to more than 256 MiB.
    """
    try:
        import docx
        from docx.opc.exceptions import OpcError
        from docx.table import Table
        from lxml.etree import LxmlError
    except ImportError as error:
        raise MissingDependencyError("DOCX", "python-docx", "files") from error
    writer = TextWriter()
    broken = (OpcError, LxmlError, zipfile.BadZipFile, zlib.error, ValueError, LookupError,
              TypeError, AttributeError, RecursionError, NotImplementedError, OSError)  # fmt: skip
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            if sum(part.file_size for part in parts.infolist()) > LARGEST:
                raise InputError(f"it unpacks to more than {LARGEST >> 20} MiB; split it")
        document = docx.Document(io.BytesIO(data))
        title = document.core_properties.title
        for block in document.iter_inner_content():
            if isinstance(block, Table):
                rows = [" ".join(cell.text for cell in row.cells) for row in block.rows]
                writer.block("\n".join(rows))
            elif (block.style.name if block.style else "").startswith(("Heading", "Title")):
                writer.heading(block.text)
            else:
                writer.block(block.text)
    except broken as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"it is no Word file that can be read: {reason}") from None
    found = writer.finish()
    heading = found.sections[0].heading if found.sections else ""
    return writer.finish(" ".join((title or "").split()) or heading)
