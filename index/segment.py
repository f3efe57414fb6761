"""Segments: the derived, immutable form of a collection that engines search.

File layout, little-endian: magic (8 bytes), format version (u32), length of the table of contents
(u32), its CRC-32 (u32), zeros to byte 64; the table (JSON) with name, dtype, shape, offset and
CRC-32 of each section; then the sections, each at a multiple of 64 bytes.
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

from index.dense import DenseSearcher
from index.posting_list import PostingLists
from index.searcher import Searcher, open_searcher
from lsr.errors import CorruptionError
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics

MAGIC = b"LSRSEG\r\n"
VERSION = 1
HEADER = struct.Struct("<8sIII")
ALIGNMENT = 64
DTYPES = {"int64", "uint32", "float16", "float32"}


@dataclass(frozen=True, eq=False)
class Segment:
    """Documents ``sequence`` (int64 (n,), ascending) with the index of each field.

    ``postings`` holds the sparse fields, ``vectors`` float32 (n, dimension) the dense ones, and
    ``average_lengths`` the mean document length of each field that stores term counts.
    """

    sequence: NDArray[np.int64]
    postings: Mapping[str, PostingLists]
    vectors: Mapping[str, NDArray[np.float32]]
    average_lengths: Mapping[str, float]
    _searchers: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.sequence)

    def searcher(self, name: str, engine: str) -> Searcher:
        """The engine over a sparse field, opened once."""
        key = (engine, name)
        if key not in self._searchers:
            self._searchers[key] = open_searcher(engine, self.postings[name])
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
        return self.postings[name].to_batch()

    def statistics(self, name: str) -> CollectionStatistics:
        """Statistics of a field that stores term counts."""
        frequency = self.postings[name].document_frequency()
        return CollectionStatistics(len(self), frequency, self.average_lengths[name])


def write_segment(path: Path, segment: Segment) -> None:
    """Write a file that appears whole and flushed to disk, or not at all."""
    sections = dict(_sections(segment))
    table = {
        "average_lengths": dict(segment.average_lengths),
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
    return _segment(path, arrays, table["average_lengths"])


def flush_folder(folder: Path) -> None:
    """Make a rename in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sections(segment: Segment) -> list[tuple[str, NDArray[Any]]]:
    sections: list[tuple[str, NDArray[Any]]] = [("sequence", segment.sequence)]
    for name, lists in segment.postings.items():
        sections += [
            (f"postings/{name}/offsets", lists.offsets),
            (f"postings/{name}/documents", lists.documents),
            (f"postings/{name}/weights", lists.weights),
        ]
    sections += [(f"vectors/{name}", vectors) for name, vectors in segment.vectors.items()]
    return sections


def _table(sections: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    entries = {}
    offset = 0
    for name, array in sections.items():
        contiguous = np.ascontiguousarray(array)
        entries[name] = {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "offset": offset,
            "crc32": zlib.crc32(contiguous.data) if contiguous.size else 0,
        }
        offset = _align(offset + contiguous.nbytes)
    return entries


def _read_table(path: Path, raw: NDArray[np.uint8]) -> tuple[dict[str, Any], int]:
    if len(raw) < ALIGNMENT:
        raise CorruptionError(f"the segment {path} is cut short")
    magic, version, length, checksum = HEADER.unpack(raw[: HEADER.size].tobytes())
    if magic != MAGIC:
        raise CorruptionError(f"{path} is not a segment file")
    if version != VERSION:
        raise CorruptionError(
            f"the segment {path} has format version {version} and this release reads {VERSION}; "
            "use the release that wrote it, or index again"
        )
    encoded = raw[ALIGNMENT : ALIGNMENT + length].tobytes()
    if raw[HEADER.size : ALIGNMENT].any() or zlib.crc32(encoded) != checksum:
        raise CorruptionError(f"the table of contents of the segment {path} is damaged")
    return json.loads(encoded), _align(ALIGNMENT + length)


def _read_section(
    path: Path, raw: NDArray[np.uint8], start: int, name: str, entry: Mapping[str, Any]
) -> NDArray[Any]:
    if entry["dtype"] not in DTYPES:
        raise CorruptionError(f"the section {name!r} of {path} has the type {entry['dtype']!r}")
    dtype = np.dtype(entry["dtype"])
    begin = start + entry["offset"]
    data = raw[begin : begin + int(np.prod(entry["shape"])) * dtype.itemsize]
    if (zlib.crc32(data.data) if data.size else 0) != entry["crc32"]:
        raise CorruptionError(f"the section {name!r} of the segment {path} is damaged")
    section: NDArray[Any] = data.view(dtype).reshape(entry["shape"])
    return section


def _segment(
    path: Path, arrays: Mapping[str, NDArray[Any]], average_lengths: Mapping[str, float]
) -> Segment:
    try:
        sequence = arrays["sequence"]
        names = [name.split("/")[1] for name in arrays if name.endswith("/offsets")]
        postings = {
            name: PostingLists(
                arrays[f"postings/{name}/offsets"],
                arrays[f"postings/{name}/documents"],
                arrays[f"postings/{name}/weights"],
                len(sequence),
            )
            for name in names
        }
    except KeyError as error:
        raise CorruptionError(f"the segment {path} lacks the section {error}") from error
    vectors = {
        name.removeprefix("vectors/"): array
        for name, array in arrays.items()
        if name.startswith("vectors/")
    }
    return Segment(sequence, postings, vectors, average_lengths)


def _align(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT
