"""A file of vectors in the making, which an interrupted run leaves to be gone on with."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from lsr.corpus.documents import Document
from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr.vectors.formats import VectorWriter, is_zipped
from lsr.vectors.journal import Journal, Settings
from lsr.vectors.json_lines import JsonLinesWriter
from lsr.vectors.working_files import WorkingFiles

WHOLE = "whole"


class Output(Protocol):
    """Where encoded documents go.

    ``items`` is how many items of the source an earlier run got through, and ``digest`` changes
    with any document among them. ``whole`` says that these were all. ``begun`` names what holds
    them, for messages.
    """

    @property
    def whole(self) -> bool: ...  # noqa: D102

    @property
    def begun(self) -> str: ...  # noqa: D102

    @property
    def items(self) -> int: ...  # noqa: D102

    @property
    def digest(self) -> str: ...  # noqa: D102

    def append(
        self, documents: Sequence[Document], batch: SparseBatch, items: int, digest: str
    ) -> None:
        """Write a row a document; ``items`` and ``digest`` count all up to them."""
        ...


class VectorOutput:
    """Writes the file ``path``; ``path.part`` is a folder of what is written so far, and a journal.

    The file appears whole or not at all. After an interruption the same settings go on behind the
    last whole chunk.

    Args:
        path: the file.
        settings: what the vectors depend on; a run with others may not go on.
        writer: makes the writer that fills some working files.

    Raises:
        UsageError: the file is there already, or was begun with other settings.
        CorruptionError: the journal can't be read.
    """

    whole = False
    begun = "the folder that ends in .part"

    def __init__(
        self, path: Path, settings: Settings, writer: Callable[[WorkingFiles], VectorWriter]
    ) -> None:
        if path.exists():
            raise UsageError(f"{path} is there already; delete it, or give another --out")
        self._path = path
        self._folder = path.with_name(f"{path.name}.part")
        self._journal = Journal(self._folder, path, settings)
        self._writer = writer(WorkingFiles(self._folder, self._journal.sizes))

    @property
    def items(self) -> int:
        """See ``Output``."""
        return self._journal.items

    @property
    def digest(self) -> str:
        """See ``Output``."""
        return self._journal.digest

    def append(
        self, documents: Sequence[Document], batch: SparseBatch, items: int, digest: str
    ) -> None:
        """See ``Output``; on disk when it returns."""
        self._writer.write(documents, batch)
        self._journal.write(items, digest, self._writer.files.sync())

    def finish(self) -> list[str]:
        """Write the file and delete the folder; returns what a user should know of the file."""
        whole = self._folder / WHOLE
        with whole.open("wb") as file:
            zipped = is_zipped(self._path) and not isinstance(self._writer, JsonLinesWriter)
            target = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if zipped else nullcontext(file)
            with target as stream:
                notes = self._writer.finish(cast(BinaryIO, stream))
            file.flush()
            os.fsync(file.fileno())
        self._writer.files.close()
        whole.replace(self._path)
        shutil.rmtree(self._folder)
        return notes


class StreamOutput:
    """Writes to a stream, in which nothing can be gone on with."""

    items = 0
    digest = ""
    whole = False
    begun = "what was written"

    def __init__(self, write: Callable[[Sequence[Document], SparseBatch], None]) -> None:
        self._write = write

    def append(
        self, documents: Sequence[Document], batch: SparseBatch, items: int, digest: str
    ) -> None:
        """See ``Output``."""
        self._write(documents, batch)
