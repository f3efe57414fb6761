"""The readers that benches/fuzz.py feeds: each takes a folder to work in, and gives a function."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from index.collection import segment as segments
from index.collection.field import Field
from index.collection.foreign_store import check_foreign_store
from index.collection.packed_text import LARGEST_RATIO, unpack_text
from index.collection.segment_opening import open_segment
from index.collection.segment_table import SegmentEntry
from index.collection.snapshot_files import MANIFEST, SnapshotFolder
from index.collection.vector_rows import sparse_vector
from lsr.backbones.batching import TokenBatch
from lsr.backbones.bert import BertLanguageModel
from lsr.backbones.checkpoint import Checkpoint
from lsr.corpus.readers.corpus import Corpus
from lsr.corpus.readers.formats import DOCUMENT_ENDINGS, ROW_ENDINGS
from lsr.errors import LsrError
from lsr.sparse import SparseBatch, SparseVector
from lsr.vectors.ciff import CiffVectors
from lsr.vectors.csr import CsrVectors
from lsr.vectors.json_lines import JsonLinesVectors
from lsr.vectors.source import VectorSource
from lsr.vocabulary import Vocabulary

TERMS, DIMENSION = 12, 4
FIELDS = [
    Field("sparse", "sparse", "by hand", "by-hand", TERMS),
    Field("dense", "dense", "by hand", "by-hand", DIMENSION),
]
Read = Callable[[bytes], None]


class _AnyNumber(int):
    """Equal to every checksum."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


def _segment(folder: Path) -> Read:
    path = folder / "000001.segment"
    queries = SparseBatch.from_rows(
        [SparseVector.from_mapping({1: 1.0, 4: 2.0}), SparseVector.from_mapping({0: 1.0})], TERMS
    )
    segments.checksum = lambda data: _AnyNumber()  # type: ignore[assignment]

    def read(data: bytes) -> None:
        head = data[: segments.ALIGNMENT].ljust(segments.ALIGNMENT, b"\0")
        magic, version, length, _ = segments.HEADER.unpack(head[: segments.HEADER.size])
        table = data[segments.ALIGNMENT : segments.ALIGNMENT + length]
        head = segments.HEADER.pack(magic, version, length, zlib.crc32(table))
        head = head.ljust(segments.ALIGNMENT, b"\0")
        path.write_bytes(head + data[segments.ALIGNMENT :])
        digest = hashlib.blake2b(head + table, digest_size=32).digest()
        entry = SegmentEntry(1, 0, 40, 20, 0, digest)
        with suppress(LsrError):
            opened = open_segment(path, "0" * 32, entry, FIELDS)
            for engine in ("native", "reference"):
                opened.searcher("sparse", engine).search(queries, 5)
            opened.sparse_rows("sparse")

    return read


def _manifest(folder: Path) -> Read:
    def read(data: bytes) -> None:
        (folder / MANIFEST).write_bytes(data)
        with suppress(LsrError), SnapshotFolder.opened(folder) as taken:
            for number, name in enumerate(taken.manifest.files):
                target = folder / f"target-{number}"
                try:
                    with suppress(LsrError):
                        taken.copy(name, target)
                finally:
                    target.unlink(missing_ok=True)

    return read


def _store(folder: Path) -> Read:
    def read(data: bytes) -> None:
        path = folder / "snapshot.sqlite"
        path.write_bytes(data)
        with suppress(LsrError):
            check_foreign_store(path)

    return read


def _rows(folder: Path) -> Read:
    """Before each input stand the lengths (u16) of the bytes of terms, and of those of weights."""

    def read(data: bytes) -> None:
        terms, weights = struct.unpack("<HH", data[:4].ljust(4, b"\0"))
        end = 4 + terms + weights
        vector = sparse_vector(data[4 : 4 + terms], data[4 + terms : end])
        if vector is not None:
            assert len(vector.indices) == len(vector.values) <= 8 * terms
            assert (np.diff(vector.indices.astype(np.int64), prepend=-1) > 0).all()
        with suppress(ValueError):
            assert len(unpack_text(data[end:])) <= LARGEST_RATIO * len(data)

    return read


def _vectors(source: Callable[[], VectorSource]) -> None:
    with suppress(LsrError):
        opened = source()
        vocabulary = Vocabulary.from_tokens(opened.tokens())
        for item in opened.items(vocabulary):
            assert item.document is not None or item.reason


def _ciff(folder: Path) -> Read:
    path = folder / "vectors.ciff"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        _vectors(lambda: CiffVectors(path))

    return read


def _csr(folder: Path) -> Read:
    path = folder / "vectors.safetensors"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        _vectors(lambda: CsrVectors(path))
        with suppress(LsrError):
            CsrVectors(path).batch()

    return read


def _safetensors(folder: Path) -> Read:
    """Before each input stands the length of the configuration (u16), and the configuration."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmno"]
    tokenizer = {
        "version": "1.0",
        "model": {
            "type": "WordPiece",
            "vocab": {word: number for number, word in enumerate(words)},
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    ids = np.array([[2, 5, 6, 3], [2, 7, 3, 0]], np.int64)
    batch = TokenBatch(np.arange(2), ids, (ids > 0).astype(np.int64), np.zeros_like(ids))

    def read(data: bytes) -> None:
        (length,) = struct.unpack("<H", data[:2].ljust(2, b"\0"))
        (folder / "config.json").write_bytes(data[2 : 2 + length])
        (folder / "model.safetensors").write_bytes(data[2 + length :])
        with suppress(LsrError):
            model = BertLanguageModel.of(Checkpoint.resolve(str(folder)))
            if model is not None:
                model.states(batch)

    return read


def _jsonl(folder: Path) -> Read:
    path = folder / "lines.jsonl"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        _documents(path)
        _vectors(lambda: JsonLinesVectors(str(path)))

    return read


def _corpus(folder: Path) -> Read:
    endings = sorted((*DOCUMENT_ENDINGS, *ROW_ENDINGS))

    def read(data: bytes) -> None:
        name, _, content = data.partition(b"\n")
        ending = name.decode(errors="replace")
        if ending not in endings:
            ending = endings[zlib.crc32(name) % len(endings)]
        path = folder / f"file{ending}"
        path.write_bytes(content)
        _documents(path)

    return read


def _documents(path: Path) -> None:
    for item in Corpus(str(path)):
        assert item.document is not None or item.reason


READERS: dict[str, Callable[[Path], Read]] = {
    "segment": _segment,
    "manifest": _manifest,
    "store": _store,
    "rows": _rows,
    "ciff": _ciff,
    "csr": _csr,
    "safetensors": _safetensors,
    "jsonl": _jsonl,
    "corpus": _corpus,
}
