"""Our file of vectors: compressed sparse rows in a safetensors file.

safetensors (huggingface.co/docs/safetensors) is a header of JSON behind its length, then arrays:

    indptr         I64 (n + 1,)   where each row begins in indices and values
    id_offsets     I64 (n + 1,)   where each document's id begins in ids
    token_offsets  I64 (V + 1,)   where each token begins in tokens
    indices        I32 (nnz,)     term ids, strictly ascending within a row
    values         F32 (nnz,)     weights, finite and above 0
    ids            U8             UTF-8
    tokens         U8             UTF-8, by term id

Metadata: format, version, vocabulary_size, vocabulary_digest, encoder, fingerprint.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.documents import Document, parse_document
from lsr.errors import CorruptionError, InputError
from lsr.sparse import SparseBatch, SparseVector
from lsr.vectors.quantisation import quantise
from lsr.vectors.row_files import ENDS, ID_ENDS, IDS, INDICES, VALUES, RowFiles
from lsr.vectors.source import LARGEST_VOCABULARY, VectorItem, VectorSource
from lsr.vectors.working_files import WorkingFiles
from lsr.vocabulary import Vocabulary

FORMAT, VERSION = "lsr-csr", "1"
LARGEST_HEADER = 1 << 20
ROWS_AT_A_TIME = 4096
OFFSETS_AT_A_TIME = 1 << 20
DTYPES: dict[str, tuple[str, type[np.generic]]] = {
    "indptr": ("I64", np.int64),
    "id_offsets": ("I64", np.int64),
    "token_offsets": ("I64", np.int64),
    "indices": ("I32", np.int32),
    "values": ("F32", np.float32),
    "ids": ("U8", np.uint8),
    "tokens": ("U8", np.uint8),
}


@dataclass(frozen=True, slots=True)
class Maker:
    """Which encoder made vectors: its name and fingerprint."""

    name: str
    fingerprint: str


class CsrWriter:
    """Collects rows in working files, then writes them as one file; ``scale`` quantises them."""

    def __init__(
        self,
        files: WorkingFiles,
        vocabulary: Vocabulary,
        maker: Maker,
        scale: float | None = None,
    ) -> None:
        self.files = files
        self._scale = scale
        self._rows = RowFiles(files)
        self._vocabulary = vocabulary
        self._maker = maker

    def write(self, documents: Sequence[Document], batch: SparseBatch) -> None:
        """Append a row a document."""
        batch = batch if self._scale is None else quantise(batch, self._scale)
        self._rows.append(documents, batch)

    def numbers(self, words: Sequence[str]) -> NDArray[np.int32]:
        """The numbers, from 0 on, that words of an open vocabulary got when they were written."""
        return self._rows.numbers(words)

    def finish(self, target: BinaryIO) -> list[str]:
        """Write the whole file to ``target``; returns what a user should know of it."""
        vocabulary = self._rows.vocabulary(self._vocabulary)
        tokens = [token.encode() for token in vocabulary.tokens]
        ends = np.array([0, *accumulate(map(len, tokens))], dtype=np.int64)
        rows = len(self._rows)
        lengths = {
            "indptr": rows + 1,
            "id_offsets": rows + 1,
            "token_offsets": len(ends),
            "indices": self._rows.nnz,
            "values": self._rows.nnz,
            "ids": self.files.size(IDS),
            "tokens": int(ends[-1]),
        }
        target.write(_header(lengths, vocabulary, self._maker))
        for name in (ENDS, ID_ENDS):
            target.write(bytes(8))
            self.files.copy(name, target)
        target.write(ends.tobytes())
        for name in (INDICES, VALUES, IDS):
            self.files.copy(name, target)
        target.write(b"".join(tokens))
        return []


@dataclass(frozen=True, slots=True)
class _Array:
    """An array of a file, read part by part: all of a mapped file would count as memory."""

    path: Path
    kind: type[np.generic]
    begin: int
    length: int

    def __len__(self) -> int:
        return self.length

    def read(self, start: int, end: int) -> NDArray[Any]:
        """Numbers ``start`` to ``end``."""
        offset = self.begin + start * np.dtype(self.kind).itemsize
        return np.fromfile(self.path, self.kind, end - start, offset=offset)


class CsrVectors(VectorSource):
    """Vectors of such a file, whose header is checked before anything is used.

    Raises:
        CorruptionError: it is cut off, or its header doesn't describe it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        metadata, self._arrays = _read(path)
        self.vocabulary_digest: str | None = metadata["vocabulary_digest"]
        self.encoder = metadata["encoder"]
        self._row = 0

    def __len__(self) -> int:
        return len(self._arrays["indptr"]) - 1

    @property
    def fraction(self) -> float | None:
        """See ``VectorSource``."""
        return self._row / max(len(self), 1)

    def tokens(self) -> list[str]:
        """See ``VectorSource``: the whole vocabulary that the vectors are over."""
        data = self._all("tokens").tobytes()
        offsets = self._all("token_offsets").tolist()
        try:
            tokens = [data[a:b].decode() for a, b in pairwise(offsets)]
        except UnicodeDecodeError as error:
            raise _corrupt(self._path, f"a token is not UTF-8: {error}") from None
        if len(set(tokens)) < len(tokens):
            raise _corrupt(self._path, "a token stands twice")
        return tokens

    def batch(self) -> SparseBatch:
        """All vectors at once, over the vocabulary of the file.

        Raises:
            CorruptionError: a row is not one of ascending terms and finite weights above 0.
        """
        batch = self.rows(0, len(self))
        if not ((batch.values > 0) & np.isfinite(batch.values)).all():
            raise _corrupt(self._path, "a row has weights that are not allowed")
        return batch

    def rows(self, first: int, last: int) -> SparseBatch:
        """Some of the vectors, over the vocabulary of the file, with whatever weights they have.

        Raises:
            CorruptionError: a row is not one of ascending terms.
        """
        indptr = self._arrays["indptr"].read(first, last + 1)
        indices = self._arrays["indices"].read(int(indptr[0]), int(indptr[-1]))
        values = self._arrays["values"].read(int(indptr[0]), int(indptr[-1]))
        indptr = indptr - indptr[0]
        size = len(self._arrays["token_offsets"]) - 1
        follows = np.diff(indices, prepend=-1) > 0
        follows[indptr[:-1][np.diff(indptr) > 0]] = True
        if not (follows & (indices >= 0) & (indices < size)).all():
            raise _corrupt(self._path, "a row has terms that are not allowed")
        return SparseBatch(indptr, indices, values, size)

    def ids(self, first: int, last: int) -> list[bytes]:
        """The ids of some rows, in UTF-8."""
        offsets = self._arrays["id_offsets"].read(first, last + 1)
        data = self._arrays["ids"].read(int(offsets[0]), int(offsets[-1])).tobytes()
        return [data[a:b] for a, b in pairwise((offsets - offsets[0]).tolist())]

    def items(self, vocabulary: Vocabulary) -> Iterator[VectorItem]:
        """See ``VectorSource``."""
        terms = np.array([vocabulary.number(token, -1) for token in self.tokens()], np.int64)
        rows = len(self)
        for first in range(0, rows, ROWS_AT_A_TIME):
            last = min(first + ROWS_AT_A_TIME, rows)
            indptr = self._arrays["indptr"].read(first, last + 1)
            ids = self.ids(first, last)
            indices = self._arrays["indices"].read(int(indptr[0]), int(indptr[-1]))
            values = self._arrays["values"].read(int(indptr[0]), int(indptr[-1]))
            for row, (a, b) in enumerate(pairwise((indptr - indptr[0]).tolist())):
                self._row = first + row + 1
                yield self._item(ids[row], indices[a:b], values[a:b], terms, vocabulary)

    def _item(
        self,
        identifier: bytes,
        indices: NDArray[np.int32],
        values: NDArray[np.float32],
        terms: NDArray[np.int64],
        vocabulary: Vocabulary,
    ) -> VectorItem:
        place = str(self._path), self._row
        try:
            document = _document(identifier)
            if ((indices < 0) | (indices >= len(terms))).any() or (np.diff(indices) <= 0).any():
                raise InputError(f"its term ids are not ascending, or not below {len(terms)}")
            unknown = np.flatnonzero(terms[indices] < 0)
            if unknown.size:
                raise InputError(
                    f"{unknown.size} of {len(indices)} tokens are not in the vocabulary of "
                    f"{vocabulary.size} terms; import into a collection of its own"
                )
            vector = SparseVector.from_user(
                terms[indices].tolist(), values.tolist(), vocabulary.size
            )
        except InputError as error:
            return VectorItem(*place, None, str(error))
        return VectorItem(*place, document, vector=vector)

    def _all(self, name: str) -> NDArray[Any]:
        return self._arrays[name].read(0, len(self._arrays[name]))


def _document(identifier: bytes) -> Document:
    try:
        return parse_document({"id": identifier.decode(), "text": ""})
    except UnicodeDecodeError as error:
        raise InputError(f"its id is not UTF-8 at byte {error.start}") from None


def _header(lengths: dict[str, int], vocabulary: Vocabulary, maker: Maker) -> bytes:
    header: dict[str, Any] = {
        "__metadata__": {
            "format": FORMAT,
            "version": VERSION,
            "vocabulary_size": str(vocabulary.size),
            "vocabulary_digest": vocabulary.digest,
            "encoder": maker.name,
            "fingerprint": maker.fingerprint,
        }
    }
    end = 0
    for name, length in lengths.items():
        dtype, kind = DTYPES[name]
        begin, end = end, end + length * np.dtype(kind).itemsize
        header[name] = {"dtype": dtype, "shape": [length], "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _read(path: Path) -> tuple[dict[str, str], dict[str, _Array]]:
    """Metadata and arrays, whose offsets are ascending and end where they should."""
    header, begin, size = _read_header(path)
    metadata = header.pop("__metadata__", None)
    known = isinstance(metadata, dict) and metadata.get("format") == FORMAT
    if not isinstance(metadata, dict) or not known or set(header) != set(DTYPES):
        raise InputError(
            f"{path} is a safetensors file, but not of vectors; lsr encode --format csr writes them"
        )
    if metadata.get("version") != VERSION:
        raise InputError(
            f"{path} has format version {metadata.get('version')} and this release reads "
            f"{VERSION}; use the release that wrote it"
        )
    arrays = {name: _array(path, name, header[name], begin, size) for name in DTYPES}
    for offsets, within in (
        ("indptr", "indices"),
        ("indptr", "values"),
        ("id_offsets", "ids"),
        ("token_offsets", "tokens"),
    ):
        _check_offsets(path, offsets, arrays[offsets], len(arrays[within]))
    terms = len(arrays["token_offsets"]) - 1
    if len(arrays["indptr"]) != len(arrays["id_offsets"]):
        raise _corrupt(path, "it has another number of ids than of rows")
    if metadata.get("vocabulary_size") != str(terms) or terms > LARGEST_VOCABULARY:
        raise _corrupt(path, f"its vocabulary has {terms} tokens, not what its metadata says")
    if not all(isinstance(metadata.get(key), str) for key in ("vocabulary_digest", "encoder")):
        raise _corrupt(path, "its metadata lacks the vocabulary digest or the encoder")
    return metadata, arrays


def _read_header(path: Path) -> tuple[dict[str, Any], int, int]:
    """The header, where the arrays begin, and how many bytes they take."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(LARGEST_HEADER, size - 8):
            raise _corrupt(path, f"its header of {length} bytes doesn't fit")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            raise _corrupt(path, "its header is no JSON") from None
    if not isinstance(header, dict):
        raise _corrupt(path, "its header is no object")
    return header, 8 + length, size - 8 - length


def _array(path: Path, name: str, entry: Any, begin: int, size: int) -> _Array:
    dtype, kind = DTYPES[name]
    try:
        (length,) = entry["shape"]
        start, end = entry["data_offsets"]
        numbers = all(type(number) is int for number in (length, start, end))
        fits = numbers and entry["dtype"] == dtype and 0 <= start <= end <= size
        fits = fits and length >= 0 and end - start == length * np.dtype(kind).itemsize
    except (TypeError, ValueError, KeyError):
        fits = False
    if not fits:
        raise _corrupt(path, f"the array {name!r} doesn't fit: the file may be cut off")
    return _Array(path, kind, begin + start, length)


def _check_offsets(path: Path, name: str, offsets: _Array, end: int) -> None:
    last = 0
    for first in range(0, len(offsets), OFFSETS_AT_A_TIME):
        part = offsets.read(first, min(first + OFFSETS_AT_A_TIME, len(offsets)))
        if (first == 0 and part[0] != 0) or part[0] < last or (np.diff(part) < 0).any():
            raise _corrupt(path, f"{name!r} is not ascending from 0")
        last = int(part[-1])
    if len(offsets) == 0 or last != end:
        raise _corrupt(path, f"{name!r} doesn't end at {end}")


def _corrupt(path: Path, reason: str) -> CorruptionError:
    return CorruptionError(
        f"{path} is no intact safetensors file of vectors: {reason}; write or copy it again"
    )
