"""Segments: the derived, immutable form of a collection that engines search.

File layout, little-endian: magic (8 bytes), format version (u32), length of the table of contents
(u32), its CRC-32 (u32), zeros to byte 64; the table (JSON) with the identity of the collection, the
generation, and name, shape, offset and checksum (index/core/checksum.hpp) of each section; then the
sections, each at the first multiple of 64 bytes after the one before, with zeros between.

A file is read as if anyone had written it. It is read into memory, or a file, of this process
alone: what was verified is what is searched, whatever becomes of the file.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from index._core import checksum
from index.collection.column import Column
from index.collection.recent import Recent
from index.collection.regular_file import open_plain
from index.collection.segment_table import SegmentEntry
from index.engines.array_room import Room, out_of_memory, private
from index.engines.dense import DenseSearcher
from index.engines.document_mask import DocumentMask
from index.engines.inverted_index import PACKED, InvertedIndex
from index.engines.registry import open_searcher
from index.engines.searcher import Searcher
from lsr.errors import CorruptionError
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.whole_folder import flush_folder

MAGIC = b"LSRSEG\r\n"
VERSION = 5
HEADER = struct.Struct("<8sIII")
ALIGNMENT = 64
LONGEST_TABLE = 1 << 24  # bytes
COLUMN_CAPACITY = 128 << 20  # bytes of metadata columns that a segment keeps
SECTIONS: dict[str, type[Any]] = {
    "sequence": np.int64,
    "owners": np.int64,
    "vectors": np.float32,
}


@dataclass(frozen=True, eq=False)
class Segment:
    """Rows ``sequence`` (int64 (n,), ascending) with the index of each field.

    A row is a document, or one of its passages: ``owners`` has the number of each row's document,
    int64 (n,), and is None where no document is split. A passage's own number is that of its
    document plus its place there.

    ``indexes`` holds the sparse fields, ``vectors`` float32 (n, dimension) the dense ones, and
    ``average_lengths`` the mean row length of each field that stores term counts. ``columns`` are
    those of metadata keys that were read so far, each with the revision of which it was read.
    """

    sequence: NDArray[np.int64]
    indexes: dict[str, InvertedIndex]
    vectors: Mapping[str, NDArray[np.float32]]
    average_lengths: Mapping[str, float]
    owners: NDArray[np.int64] | None = None
    columns: Recent[str, tuple[int, Column]] = field(
        default_factory=lambda: Recent(COLUMN_CAPACITY), repr=False
    )
    _searchers: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.sequence)

    @property
    def documents(self) -> NDArray[np.int64]:
        """The number of each row's document, int64 (n,)."""
        return self.sequence if self.owners is None else self.owners

    @cached_property
    def _first(self) -> NDArray[np.bool_]:
        """bool (n,): the first row of each document."""
        first: NDArray[np.bool_] = self.documents == self.sequence
        return first

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """The numbers of the documents, each once, int64 (n_documents,), ascending."""
        return self.sequence if self.owners is None else self.sequence[self._first]

    def ordinals(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The places in ``numbers`` of some of them, int64, the same shape."""
        first, last = int(self.numbers[0]), int(self.numbers[-1])
        if last - first + 1 == len(self.numbers):
            return numbers - first
        return np.searchsorted(self.numbers, numbers)

    def of_documents(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """What is so of each document's rows, bool (n,), by document: bool (n_documents,)."""
        return rows if self.owners is None else rows[self._first]

    def of_rows(self, documents: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """What is so of each document, bool (n_documents,), by row: bool (n,)."""
        return documents if self.owners is None else documents[np.cumsum(self._first) - 1]

    def count_documents(self, alive: DocumentMask | None) -> int:
        """Number of documents whose rows a mask lets pass; None lets all."""
        if self.owners is None:
            return len(self) if alive is None else alive.count
        first = self._first if alive is None else self._first & (alive.allowed != 0)
        return int(np.count_nonzero(first))

    def searcher(self, name: str, engine: str) -> Searcher:
        """The engine over a sparse field, opened once."""
        key = (engine, name)
        if key not in self._searchers:
            self._searchers[key] = open_searcher(engine, self.indexes[name])
        searcher: Searcher = self._searchers[key]
        return searcher

    def replace_index(self, name: str, index: InvertedIndex) -> None:
        """Take another index of the same rows for a sparse field."""
        self.indexes[name] = index
        for key in [key for key in self._searchers if key[1] == name]:
            self._searchers.pop(key, None)

    def dense_searcher(self, name: str) -> DenseSearcher:
        """FAISS over a dense field, opened once."""
        key = ("faiss", name)
        if key not in self._searchers:
            self._searchers[key] = DenseSearcher(self.vectors[name])
        searcher: DenseSearcher = self._searchers[key]
        return searcher

    def sparse_rows(self, name: str) -> SparseBatch:
        """The weights of a sparse field that engines score, document by document."""
        return self.indexes[name].to_batch()

    def statistics(self, name: str) -> CollectionStatistics:
        """Statistics of a field that stores term counts."""
        frequency = self.indexes[name].document_frequency()
        return CollectionStatistics(len(self), frequency, self.average_lengths[name])


def write_segment(path: Path, segment: Segment, collection: str, generation: int) -> bytes:
    """Write a file that appears whole and flushed to disk, or not at all.

    Args:
        path: the file.
        segment: what it holds.
        collection: identity of the collection that it belongs to.
        generation: its number there.

    Returns:
        Digest of header and table, and so of the checksums of all sections, for ``read_segment``.
    """
    sections = dict(_sections(segment))
    table: dict[str, Any] = {
        "collection": collection,
        "generation": generation,
        "average_lengths": dict(segment.average_lengths),
        "vocabulary_sizes": {
            name: index.vocabulary_size for name, index in segment.indexes.items()
        },
        "sections": _table(sections),
    }
    encoded = json.dumps(table).encode()
    header = HEADER.pack(MAGIC, VERSION, len(encoded), zlib.crc32(encoded)).ljust(ALIGNMENT, b"\0")
    start = _align(ALIGNMENT + len(encoded))
    temporary = path.with_suffix(f".tmp{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as stream:
            stream.write(header)
            stream.write(encoded)
            for name, array in sections.items():
                stream.seek(start + table["sections"][name]["offset"])
                stream.write(np.ascontiguousarray(array).data)
            stream.truncate(max(stream.tell(), start))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    flush_folder(path.parent)
    return _digest(header, encoded)


def read_segment(path: Path, collection: str, entry: SegmentEntry, room: Room = private) -> Segment:
    """Read the segment that a collection published, every checksum verified.

    Args:
        path: the file.
        collection: the collection's identity.
        entry: what its store says of the segment.
        room: where its arrays live.

    Raises:
        CorruptionError: the file is missing, damaged, of another format version, or not the one
            that was published.
        LsrError: there is no room for it.
    """
    segment = read_packed(path, collection, entry, room)
    complete(path, segment)
    return segment


def read_packed(path: Path, collection: str, entry: SegmentEntry, room: Room) -> Segment:
    """``read_segment`` of a segment whose posting lists are unpacked later, as by ``complete``."""
    try:
        with FileIO(open_plain(path)) as stream:
            table = _read_table(path, stream, collection, entry)
            memory = _read_sections(path, stream, table, room)
        arrays = {section.name: _array(path, memory, section) for section in table.sections}
        return _segment(path, arrays, table, room)
    except OSError as error:
        raise CorruptionError(f"the segment {path} can't be read: {error}") from error
    except MemoryError as error:
        raise out_of_memory() from error


def complete(path: Path, segment: Segment) -> None:
    """Unpack the posting lists of a segment, which was read from a path.

    Raises:
        CorruptionError: one is malformed.
    """
    for name, index in segment.indexes.items():
        with _naming(path, name):
            index.complete()


@contextmanager
def _naming(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except CorruptionError as error:
        raise CorruptionError(f"the field {name!r} of the segment {path}: {error}") from error


def _sections(segment: Segment) -> list[tuple[str, NDArray[Any]]]:
    sections: list[tuple[str, NDArray[Any]]] = [("sequence", segment.sequence)]
    if segment.owners is not None:
        sections.append(("owners", segment.owners))
    for name, index in segment.indexes.items():
        sections += [(f"indexes/{name}/{part}", array) for part, array in index.pack().items()]
    sections += [(f"vectors/{name}", vectors) for name, vectors in segment.vectors.items()]
    return sections


def _table(sections: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    entries = {}
    offset = 0
    for name, array in sections.items():
        contiguous = np.ascontiguousarray(array)
        entries[name] = {
            "shape": list(array.shape),
            "offset": offset,
            "checksum": checksum(contiguous.reshape(-1).view(np.uint8)),
        }
        offset = _align(offset + contiguous.nbytes)
    return entries


class _Section(NamedTuple):
    """Where a section stands in the file, in bytes from the first section on."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int
    checksum: int


class _Table(NamedTuple):
    """The table of contents; the sections begin at byte ``start`` and take ``size`` bytes."""

    average_lengths: dict[str, float]
    vocabulary_sizes: dict[str, int]
    sections: list[_Section]
    start: int
    size: int


def _digest(header: bytes, table: bytes) -> bytes:
    return hashlib.blake2b(header + table, digest_size=32).digest()


def _read_table(path: Path, stream: FileIO, collection: str, entry: SegmentEntry) -> _Table:
    header = stream.read(ALIGNMENT)
    if len(header) < ALIGNMENT:
        raise CorruptionError(f"the segment {path} is cut short")
    magic, version, length, crc = HEADER.unpack(header[: HEADER.size])
    if magic != MAGIC:
        raise CorruptionError(f"{path} is not a segment file")
    if version != VERSION:
        raise CorruptionError(
            f"the segment {path} has format version {version} and this release reads {VERSION}; "
            "use the release that wrote it, or index again"
        )
    damaged = f"the table of contents of the segment {path} is damaged"
    start = _align(ALIGNMENT + length)
    if length > LONGEST_TABLE:
        raise CorruptionError(damaged)
    encoded = stream.read(start - ALIGNMENT)
    between = header[HEADER.size :] + encoded[length:]
    encoded = encoded[:length]
    if any(between) or len(encoded) < length or zlib.crc32(encoded) != crc:
        raise CorruptionError(damaged)
    try:
        content = json.loads(encoded)
        named = str(content["collection"]), int(content["generation"])
        table = _parse(content, start)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise CorruptionError(damaged) from error
    if named != (collection, entry.generation):
        raise CorruptionError(
            f"the segment {path} is the segment {named[1]} of the collection {named[0]}, not "
            f"{entry.generation} of {collection}"
        )
    if _digest(header, encoded) != entry.digest:
        raise CorruptionError(f"the segment {path} is not the one that was written there")
    return table


def _parse(content: Mapping[str, Any], start: int) -> _Table:
    sections, end = [], 0
    for name, entry in content["sections"].items():
        kind, _, rest = name.partition("/")
        dtype = np.dtype(SECTIONS[kind] if kind in SECTIONS else PACKED[rest.rpartition("/")[2]])
        shape = tuple(_count(length) for length in entry["shape"])
        begin = _align(end)
        if len(shape) != (2 if kind == "vectors" else 1) or _count(entry["offset"]) != begin:
            raise ValueError(name)
        end = begin + math.prod(shape) * dtype.itemsize
        sections.append(_Section(name, dtype, shape, begin, end, _count(entry["checksum"])))
    averages = {name: float(length) for name, length in content["average_lengths"].items()}
    sizes = {name: _count(size) for name, size in content["vocabulary_sizes"].items()}
    return _Table(averages, sizes, sections, start, end)


def _count(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**62:
        raise ValueError(value)
    return value


def _read_sections(path: Path, stream: FileIO, table: _Table, room: Room) -> NDArray[np.uint8]:
    """All sections, in memory that begins at a multiple of 64 and can't be written."""
    # Looked at first: a table may name more bytes than there is memory.
    if os.fstat(stream.fileno()).st_size != table.start + table.size:
        raise CorruptionError(f"the segment {path} has another size than it says")
    memory = room(table.size + ALIGNMENT)
    aligned = -memory.ctypes.data % ALIGNMENT
    memory = memory[aligned : aligned + table.size]
    stream.seek(table.start)
    done = 0
    while done < table.size:
        read = stream.readinto(memory[done:].data)
        if not read:
            raise CorruptionError(f"the segment {path} is cut short")
        done += read
    memory.flags.writeable = False
    return memory


def _array(path: Path, memory: NDArray[np.uint8], section: _Section) -> NDArray[Any]:
    data = memory[section.begin : section.end]
    padding = memory[section.end : _align(section.end)]
    if checksum(data) != section.checksum or padding.any():
        raise CorruptionError(f"the section {section.name!r} of the segment {path} is damaged")
    array: NDArray[Any] = data.view(section.dtype).reshape(section.shape)
    return array


def _segment(path: Path, arrays: Mapping[str, NDArray[Any]], table: _Table, room: Room) -> Segment:
    indexes = {}
    try:
        sequence = _apart(arrays["sequence"])
        for name, size in table.vocabulary_sizes.items():
            parts = {part: arrays[f"indexes/{name}/{part}"] for part in PACKED}
            with _naming(path, name):
                indexes[name] = InvertedIndex.unpack(parts, size, room)
    except KeyError as error:
        raise CorruptionError(f"the segment {path} lacks the section {error}") from error
    vectors = {
        name.removeprefix("vectors/"): array
        for name, array in arrays.items()
        if name.startswith("vectors/")
    }
    owners = _apart(arrays["owners"]) if "owners" in arrays else None
    return Segment(sequence, indexes, vectors, table.average_lengths, owners)


def _apart(array: NDArray[Any]) -> NDArray[Any]:
    """A copy, so that what was read, packed lists and all, needn't stay in memory."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _align(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT
