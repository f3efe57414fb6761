"""Segments: the derived, immutable form of a collection that engines search.

File layout, little-endian: magic (8 bytes), format version (u32), length of the table of contents
(u32), its CRC-32 (u32), zeros to byte 64; the table (JSON) with name, shape, offset and
checksum (index/core/checksum.hpp) of each section; then the sections, each at a multiple of 64
bytes, with zeros between.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index._core import checksum
from index.engines.dense import DenseSearcher
from index.engines.inverted_index import DTYPES, InvertedIndex
from index.engines.registry import open_searcher
from index.engines.searcher import Searcher
from lsr.errors import CorruptionError
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.whole_folder import flush_folder

MAGIC = b"LSRSEG\r\n"
VERSION = 3
HEADER = struct.Struct("<8sIII")
ALIGNMENT = 64
SECTIONS: dict[str, type[Any]] = {"sequence": np.int64, "vectors": np.float32}


@dataclass(frozen=True, eq=False)
class Segment:
    """Documents ``sequence`` (int64 (n,), ascending) with the index of each field.

    ``indexes`` holds the sparse fields, ``vectors`` float32 (n, dimension) the dense ones, and
    ``average_lengths`` the mean document length of each field that stores term counts.
    """

    sequence: NDArray[np.int64]
    indexes: Mapping[str, InvertedIndex]
    vectors: Mapping[str, NDArray[np.float32]]
    average_lengths: Mapping[str, float]
    _searchers: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.sequence)

    def searcher(self, name: str, engine: str) -> Searcher:
        """The engine over a sparse field, opened once."""
        key = (engine, name)
        if key not in self._searchers:
            self._searchers[key] = open_searcher(engine, self.indexes[name])
        searcher: Searcher = self._searchers[key]
        return searcher

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


def write_segment(path: Path, segment: Segment) -> None:
    """Write a file that appears whole and flushed to disk, or not at all."""
    sections = dict(_sections(segment))
    table: dict[str, Any] = {
        "average_lengths": dict(segment.average_lengths),
        "vocabulary_sizes": {
            name: index.vocabulary_size for name, index in segment.indexes.items()
        },
        "sections": _table(sections),
    }
    encoded = json.dumps(table).encode()
    start = _align(ALIGNMENT + len(encoded))
    temporary = path.with_suffix(f".tmp{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            header = HEADER.pack(MAGIC, VERSION, len(encoded), zlib.crc32(encoded))
            stream.write(header.ljust(ALIGNMENT, b"\0"))
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


def read_segment(path: Path) -> Segment:
    """Map a file and verify every checksum.

    Raises:
        CorruptionError: the file is missing, damaged, or of another format version.
    """
    try:
        raw = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise CorruptionError(f"the segment {path} can't be read: {error}") from error
    table, start = _read_table(path, raw)
    arrays: dict[str, NDArray[Any]] = {}
    for name, entry in table["sections"].items():
        arrays[name] = _read_section(path, raw, start, name, entry)
    return _segment(path, arrays, table)


def _sections(segment: Segment) -> list[tuple[str, NDArray[Any]]]:
    sections: list[tuple[str, NDArray[Any]]] = [("sequence", segment.sequence)]
    for name, index in segment.indexes.items():
        sections += [(f"indexes/{name}/{part}", array) for part, array in index.arrays.items()]
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


def _read_table(path: Path, raw: NDArray[np.uint8]) -> tuple[dict[str, Any], int]:
    if len(raw) < ALIGNMENT:
        raise CorruptionError(f"the segment {path} is cut short")
    magic, version, length, table_crc = HEADER.unpack(raw[: HEADER.size].tobytes())
    if magic != MAGIC:
        raise CorruptionError(f"{path} is not a segment file")
    if version != VERSION:
        raise CorruptionError(
            f"the segment {path} has format version {version} and this release reads {VERSION}; "
            "use the release that wrote it, or index again"
        )
    encoded = raw[ALIGNMENT : ALIGNMENT + length].tobytes()
    start = _align(ALIGNMENT + length)
    between = raw[HEADER.size : ALIGNMENT].any() or raw[ALIGNMENT + length : start].any()
    if between or zlib.crc32(encoded) != table_crc:
        raise CorruptionError(f"the table of contents of the segment {path} is damaged")
    return json.loads(encoded), start


def _read_section(
    path: Path, raw: NDArray[np.uint8], start: int, name: str, entry: Mapping[str, Any]
) -> NDArray[Any]:
    kind, _, rest = name.partition("/")
    dtype = np.dtype(SECTIONS[kind] if kind in SECTIONS else DTYPES[rest.rpartition("/")[2]])
    begin = start + entry["offset"]
    end = begin + int(np.prod(entry["shape"])) * dtype.itemsize
    data = raw[begin:end]
    if checksum(data) != entry["checksum"] or raw[end : _align(end)].any():
        raise CorruptionError(f"the section {name!r} of the segment {path} is damaged")
    section: NDArray[Any] = data.view(dtype).reshape(entry["shape"])
    return section


def _segment(path: Path, arrays: Mapping[str, NDArray[Any]], table: Mapping[str, Any]) -> Segment:
    try:
        indexes = {
            name: InvertedIndex({part: arrays[f"indexes/{name}/{part}"] for part in DTYPES}, size)
            for name, size in table["vocabulary_sizes"].items()
        }
        sequence = arrays["sequence"]
    except KeyError as error:
        raise CorruptionError(f"the segment {path} lacks the section {error}") from error
    vectors = {
        name.removeprefix("vectors/"): array
        for name, array in arrays.items()
        if name.startswith("vectors/")
    }
    return Segment(sequence, indexes, vectors, table["average_lengths"])


def _align(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT
