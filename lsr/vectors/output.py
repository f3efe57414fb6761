"""A file of vectors in the making, which an interrupted run leaves to be gone on with."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from lsr.corpus.documents import Document
from lsr.errors import CorruptionError, UsageError
from lsr.sparse import SparseBatch
from lsr.vectors.formats import VectorWriter, is_zipped
from lsr.vectors.json_lines import JsonLinesWriter
from lsr.vectors.working_files import WorkingFiles

JOURNAL = "journal.json"
WHOLE = "whole"
Settings = Mapping[str, str | float | bool | None]


class Output(Protocol):
    """Where encoded documents go.

    ``items`` is how many items of the source an earlier run got through, and ``digest`` changes
    with any document among them.
    """

    items: int
    digest: str

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

    def __init__(
        self, path: Path, settings: Settings, writer: Callable[[WorkingFiles], VectorWriter]
    ) -> None:
        if path.exists():
            raise UsageError(f"{path} is there already; delete it, or give another --out")
        self._path = path
        self._folder = path.with_name(f"{path.name}.part")
        self._settings = dict(settings)
        journal = self._read_journal()
        self.items = int(journal["items"])
        self.digest = str(journal["digest"])
        self._writer = writer(WorkingFiles(self._folder, journal["sizes"]))

    def append(
        self, documents: Sequence[Document], batch: SparseBatch, items: int, digest: str
    ) -> None:
        """See ``Output``; on disk when it returns."""
        self._writer.write(documents, batch)
        self.items, self.digest = items, digest
        self._write_journal(self._writer.files.sync())

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

    def _read_journal(self) -> dict[str, Any]:
        path = self._folder / JOURNAL
        try:
            journal = json.loads(path.read_bytes())
            settings = journal["settings"]
            whole = {"items", "digest", "sizes"} <= journal.keys()
        except FileNotFoundError:
            return {"items": 0, "digest": "", "sizes": {}}
        except (ValueError, TypeError, KeyError, AttributeError):
            whole = False
        if not whole:
            raise CorruptionError(f"{path} can't be read; delete {self._folder} and start again")
        if settings != self._settings:
            changed = [
                name for name in self._settings if settings.get(name) != self._settings[name]
            ]
            raise UsageError(
                f"{self._path} was begun with other settings ({', '.join(changed)}); finish it "
                f"with the same command, or delete {self._folder}"
            )
        return dict(journal)

    def _write_journal(self, sizes: Mapping[str, int]) -> None:
        new = self._folder / f"{JOURNAL}.new"
        journal = {
            "settings": self._settings,
            "items": self.items,
            "digest": self.digest,
            "sizes": dict(sizes),
        }
        with new.open("w") as file:
            json.dump(journal, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._folder / JOURNAL)


class StreamOutput:
    """Writes to a stream, in which nothing can be gone on with."""

    items = 0
    digest = ""

    def __init__(self, write: Callable[[Sequence[Document], SparseBatch], None]) -> None:
        self._write = write

    def append(
        self, documents: Sequence[Document], batch: SparseBatch, items: int, digest: str
    ) -> None:
        """See ``Output``."""
        self._write(documents, batch)
