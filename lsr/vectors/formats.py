"""The formats of vectors, by the names of their files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from lsr.corpus.documents import Document
from lsr.corpus.files import user_path
from lsr.errors import InputError, NotFoundError, UsageError
from lsr.sparse import SparseBatch
from lsr.vectors.ciff import CiffVectors, CiffWriter
from lsr.vectors.csr import CsrVectors, CsrWriter, Maker
from lsr.vectors.json_lines import SUFFIXES, JsonLinesVectors, JsonLinesWriter
from lsr.vectors.source import VectorSource
from lsr.vectors.working_files import WorkingFiles
from lsr.vocabulary import Vocabulary

TEXT_KEYS = {"jsonl": "contents", "seismic": "content"}
FORMATS = ("jsonl", "seismic", "csr", "ciff")
BY_SUFFIX = dict.fromkeys(SUFFIXES, "jsonl") | {".safetensors": "csr", ".ciff": "ciff"}


class VectorWriter(Protocol):
    """Collects vectors in working files, then writes the file."""

    files: WorkingFiles

    def write(self, documents: Sequence[Document], batch: SparseBatch) -> None:
        """Append a row a document."""
        ...

    def finish(self, target: BinaryIO) -> list[str]:
        """Write the whole file to ``target``; returns what a user should know of it."""
        ...


def format_of(path: Path) -> str:
    """The format that a file's name asks for.

    Raises:
        InputError: it has none of the known endings.
    """
    zipped = is_zipped(path)
    suffix = (path.with_suffix("").suffix if zipped else path.suffix).lower()
    if suffix not in BY_SUFFIX or (zipped and suffix == ".safetensors"):
        raise InputError(
            f"{str(path)!r} is of no known kind; files of vectors end in {', '.join(SUFFIXES)} or "
            ".ciff, plain or .gz, or in .safetensors"
        )
    return BY_SUFFIX[suffix]


def is_zipped(path: Path) -> bool:
    """Whether a file's name says that it is compressed."""
    return path.suffix.lower() == ".gz"


def open_vectors(source: str) -> VectorSource:
    """The vectors of a file, of a folder of JSON lines, or of ``-``, JSON lines on standard input.

    Raises:
        NotFoundError: there is no such file or folder.
        InputError: it is of no known kind, or no file of vectors.
        CorruptionError: it is damaged.
    """
    path = user_path(source)
    if source == "-":
        return JsonLinesVectors(source)
    if not source or not path.exists():
        raise NotFoundError(
            f"there is no file or folder {source!r}; give a file of vectors, a folder of .jsonl "
            "files, or - for standard input"
        )
    kind = "jsonl" if path.is_dir() else format_of(path)
    if kind == "csr":
        return CsrVectors(path)
    return CiffVectors(path) if kind == "ciff" else JsonLinesVectors(str(path))


def vector_writer(
    kind: str,
    files: WorkingFiles,
    vocabulary: Vocabulary,
    maker: Maker,
    scale: float | None = None,
    contents: bool = True,
    zipped: bool = False,
) -> VectorWriter:
    """What writes vectors in a format.

    Args:
        kind: one of ``FORMATS``.
        files: where vectors are kept until the file is whole.
        vocabulary: what the vectors are over.
        maker: the encoder that made them.
        scale: by which weights are quantised; without one, CIFF chooses (see ``CiffWriter``).
        contents: whether the texts are written, where the format has them.
        zipped: whether JSON lines are compressed.

    Raises:
        UsageError: there is no such format.
    """
    if kind in TEXT_KEYS:
        text_key = TEXT_KEYS[kind] if contents else None
        return JsonLinesWriter(files, vocabulary, text_key, scale, zipped)
    if kind == "csr":
        return CsrWriter(files, vocabulary, maker, scale)
    if kind == "ciff":
        return CiffWriter(files, vocabulary, maker, scale)
    raise UsageError(f"{kind!r} is no format of vectors; allowed are {', '.join(FORMATS)}")
