"""Term weights as JSON lines: Anserini's JsonVectorCollection, and Seismic's form of it.

Anserini's lines are ``{"id", "contents", "vector": {token: weight}}`` (class JsonVectorCollection),
Seismic's the same with ``content`` (docs of TusKANNy/seismic). Both are read, whatever the name of
the text.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.documents import Document, parse_document
from lsr.corpus.files import open_counted, suffix_within
from lsr.corpus.items import Item, lines
from lsr.corpus.json_values import parse_json
from lsr.errors import InputError, UsageError
from lsr.sparse import SparseBatch
from lsr.vectors.quantisation import quantise
from lsr.vectors.source import (
    LARGEST_VOCABULARY,
    VectorItem,
    VectorSource,
    check_token,
    vector_of,
)
from lsr.vectors.working_files import WorkingFiles
from lsr.vocabulary import Vocabulary

SUFFIXES = (".jsonl", ".json", ".ndjson")
TEXTS = ("text", "contents", "content")
LINES = "lines"


class JsonLinesVectors(VectorSource):
    """Vectors of a file (plain or .gz), of all such files of a folder by name, or of ``-``."""

    vocabulary_digest: str | None = None
    encoder = ""

    def __init__(self, source: str) -> None:
        self.source = source
        path = Path(source)
        self._files = vector_files(path) if source != "-" and path.is_dir() else [path]
        if not self._files:
            raise InputError(
                f"the folder {source!r} holds no file of vectors; its files end in "
                f"{', '.join(SUFFIXES)}, plain or .gz"
            )
        self._total = 0 if source == "-" else sum(file.stat().st_size for file in self._files)
        self._read = 0

    @property
    def rereadable(self) -> bool:
        """See ``VectorSource``."""
        return self.source != "-" and all(file.is_file() for file in self._files)

    @property
    def fraction(self) -> float | None:
        """See ``VectorSource``."""
        return self._read / self._total if self._total else None

    def tokens(self) -> list[str]:
        """See ``VectorSource``; a line that is malformed has none."""
        if not self.rereadable:
            place = "standard input" if self.source == "-" else f"{self.source}, which is no file,"
            raise UsageError(
                f"the vocabulary of vectors on {place} isn't known before their end; give "
                "--encoder NAME, or a file"
            )
        found: set[str] = set()
        for _, _, line in self._lines():
            if isinstance(line, Item):
                continue
            try:
                record = _record(line)
                _document(record)
                found.update(map(check_token, record["vector"]))
            except InputError:
                continue
            if len(found) > LARGEST_VOCABULARY:
                raise InputError(f"{self.source} has more than {LARGEST_VOCABULARY} tokens")
        return sorted(found)

    def items(self, vocabulary: Vocabulary) -> Iterator[VectorItem]:
        """See ``VectorSource``."""
        for name, number, line in self._lines():
            if isinstance(line, Item):
                yield VectorItem(name, number, None, line.reason)
                continue
            try:
                record = _record(line)
                vector = vector_of(record["vector"], vocabulary)
                yield VectorItem(name, number, _document(record), vector=vector)
            except InputError as error:
                yield VectorItem(name, number, None, str(error))

    def _lines(self) -> Iterator[tuple[str, int, str | Item]]:
        self._read = 0
        for path in self._files:
            standard = self.source == "-"
            name = "standard input" if standard else str(path)
            with (
                nullcontext(sys.stdin.buffer) if standard else open_counted(path, self._count) as (
                    stream
                )
            ):
                for number, line in lines(stream, name):
                    if isinstance(line, Item) or line.strip():
                        yield name, number, line

    def _count(self, read: int) -> None:
        self._read += read


class JsonLinesWriter:
    """Writes a line a document; a .gz file gets a gzip member with each call.

    ``text_key`` names the text in a line, None leaves texts out; ``scale`` quantises the weights.
    """

    def __init__(
        self,
        files: WorkingFiles,
        vocabulary: Vocabulary,
        text_key: str | None = "contents",
        scale: float | None = None,
        zipped: bool = False,
    ) -> None:
        self.files = files
        self._scale = scale
        self._vocabulary = vocabulary
        self._text_key = text_key
        self._zipped = zipped

    def write(self, documents: Sequence[Document], batch: SparseBatch) -> None:
        """Append a row a document."""
        data = json_lines(documents, batch, self._vocabulary, self._text_key, self._scale)
        self.files.append(LINES, gzip.compress(data, mtime=0) if self._zipped else data)

    def finish(self, target: BinaryIO) -> list[str]:
        """Copy all to ``target``; returns what a user should know of it."""
        self.files.copy(LINES, target)
        return []


def json_lines(
    documents: Sequence[Document],
    batch: SparseBatch,
    vocabulary: Vocabulary,
    text_key: str | None = "contents",
    scale: float | None = None,
) -> bytes:
    """Lines of JSON in UTF-8, weights quantised by ``scale`` where it is given.

    Reading them gives every weight back, to the last bit.
    """
    batch = batch if scale is None else quantise(batch, scale)
    tokens = [*vocabulary.tokens, *batch.words] if batch.words else vocabulary.tokens
    weights = numbers(batch.values)
    made = []
    for row, document in enumerate(documents):
        head: dict[str, str] = {"id": document.id}
        if text_key is not None:
            head[text_key] = document.contents
        places = range(batch.indptr[row], batch.indptr[row + 1])
        vector = ", ".join(
            f"{json.dumps(tokens[batch.indices[place]], ensure_ascii=False)}: {weights[place]}"
            for place in places
        )
        made.append(f'{json.dumps(head, ensure_ascii=False)[:-1]}, "vector": {{{vector}}}}}\n')
    return "".join(made).encode()


def numbers(values: NDArray[np.float32]) -> list[str]:
    """The shortest decimal of each weight that a reader through 64-bit floats brings back."""
    shortest = values.astype(str)
    exact = shortest.astype(np.float64).astype(np.float32) == values
    return [
        text.removesuffix(".0") if same else repr(value)
        for text, same, value in zip(shortest.tolist(), exact, values.tolist(), strict=True)
    ]


def vector_files(folder: Path) -> list[Path]:
    """The files of a folder that hold JSON lines, by name."""
    return sorted(
        path for path in folder.iterdir() if path.is_file() and suffix_within(path) in SUFFIXES
    )


def _record(line: str) -> dict[str, Any]:
    record = parse_json(line, _distinct)
    if not isinstance(record, dict) or not isinstance(record.get("vector"), dict):
        raise InputError(
            'the line has no "vector"; give {"id": ..., "vector": {token: weight, ...}}'
        )
    return record


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of its members; json itself keeps the last of those of one name."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{twice!r} stands twice in an object; give each token once")
    return made


def _document(record: dict[str, Any]) -> Document:
    members = {key: value for key, value in record.items() if key not in ("vector", *TEXTS)}
    text = next((record[key] for key in TEXTS if key in record), "")
    return parse_document(members | {"text": text})
