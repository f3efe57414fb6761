"""A shard of vectors: the folder that one machine of several writes.

    vectors.safetensors  a row a document (``lsr/vectors/csr.py``); also read by itself
    documents.jsonl.gz   id, title, text and metadata of each, a gzip member a chunk
    chunks               int64 (chunks, 2): documents of each chunk, and words of an open vocabulary
    chunk_words          int32: these words, as numbers of words of vectors.safetensors
    manifest.json        whose part of what it is, and a digest of each file

With the last two, the very batches that were encoded come out again, so what is made of all shards
is what one run makes. All numbers are little-endian.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np
from filelock import lock_descriptor
from numpy.typing import NDArray

from lsr.corpus.chunks import CHUNK
from lsr.corpus.documents import Document, parse_document
from lsr.corpus.files import LONGEST_LINE, UNREADABLE
from lsr.corpus.shard import Shard
from lsr.errors import InputError, LockedError, UsageError
from lsr.sparse import SparseBatch
from lsr.vectors.csr import CsrVectors, CsrWriter, Maker
from lsr.vectors.journal import Journal, Settings
from lsr.vectors.shard_manifest import (
    CHUNK_WORDS,
    CHUNKS,
    DOCUMENTS,
    FILES,
    MANIFEST,
    VECTORS,
    FileDigest,
    Manifest,
    damaged,
)
from lsr.vectors.working_files import WorkingFiles
from lsr.vocabulary import Vocabulary
from lsr.whole_folder import flush_file, flush_folder

WHOLE, LOCK, PART = "whole", "lock", ".part"
# A line has more bytes than what was read, where characters are written by their numbers.
LONGEST_WRITTEN = 8 * LONGEST_LINE
DOCUMENTS_OF_A_READ = 1 << 16


def shard_name(shard: Shard) -> str:
    """The name of its folder."""
    return f"shard-{shard.number}-of-{shard.of}"


class ShardOutput:
    """Writes a shard into a folder of shards, whole or not at all; see ``Output``.

    What is written so far is in a folder ``.part`` beside it, which the next run goes on with. A
    shard that is there is checked, and then left as it is. Use it in a ``with`` block: inside, no
    other process writes the same shard.

    Args:
        folder: that of all shards; made where it is missing.
        shard: which it is.
        vocabulary: what the vectors are over.
        maker: the encoder that makes them.
        chunk_size: items that are encoded at a time.

    Raises:
        UsageError: on entry: the shard is there, or was begun, with another encoder.
        CorruptionError: it is damaged.
        LockedError: another process is writing it.
    """

    def __init__(
        self,
        folder: Path,
        shard: Shard,
        vocabulary: Vocabulary,
        maker: Maker,
        chunk_size: int = CHUNK,
    ) -> None:
        self.path = folder / shard_name(shard)
        self._part = self.path.with_name(f"{self.path.name}{PART}")
        self._shard, self._chunk_size = shard, chunk_size
        self._vocabulary, self._maker = vocabulary, maker
        self._there: Manifest | None = None

    def __enter__(self) -> Self:
        self._part.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._part / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # Some network file systems have no locks, and are used nevertheless.
            with suppress(OSError, NotImplementedError):
                if not lock_descriptor(self._lock, blocking=False):
                    raise LockedError(f"another process is writing {self.path}; let it end")
            if self.path.exists():
                self._there = self._finished()
            else:
                self._begin()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._there is None:
            self._files.close()
        else:
            shutil.rmtree(self._part, ignore_errors=True)
        os.close(self._lock)

    def _begin(self) -> None:
        settings: Settings = {
            "shard": str(self._shard),
            "encoder": self._maker.fingerprint,
            "chunk": self._chunk_size,
        }
        self._journal = Journal(self._part, self.path, settings)
        self._files = WorkingFiles(self._part, self._journal.sizes)
        self._rows = CsrWriter(self._files, self._vocabulary, self._maker)

    @property
    def whole(self) -> bool:
        """See ``Output``."""
        return self._there is not None

    @property
    def begun(self) -> str:
        """See ``Output``."""
        return str(self.path if self.whole else self._part)

    @property
    def items(self) -> int:
        """See ``Output``."""
        return self._journal.items if self._there is None else self._there.items

    @property
    def digest(self) -> str:
        """See ``Output``."""
        return self._journal.digest if self._there is None else self._there.corpus

    def append(
        self, documents: Sequence[Document], batch: SparseBatch, items: int, digest: str
    ) -> None:
        """See ``Output``; on disk when it returns."""
        self._rows.write(documents, batch)
        lines = b"".join(map(_line, documents))
        self._files.append(DOCUMENTS, gzip.compress(lines, mtime=0))
        self._files.append(CHUNKS, np.array([len(documents), len(batch.words)], "<i8"))
        self._files.append(CHUNK_WORDS, self._rows.numbers(batch.words))
        self._journal.write(items, digest, self._files.sync())

    def finish(self, items: int, corpus: str) -> Manifest:
        """Write the shard, where it isn't there; ``items`` and ``corpus`` are of the whole corpus.

        Returns:
            What it says of itself.
        """
        if self._there is not None:
            return self._there
        whole = self._part / WHOLE
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir()
        with (whole / VECTORS).open("wb") as file:
            self._rows.finish(file)
        for name in (DOCUMENTS, CHUNKS, CHUNK_WORDS):
            with (whole / name).open("wb") as file:
                self._files.copy(name, file)
        for name in FILES:
            flush_file(whole / name)
        vectors = CsrVectors(whole / VECTORS)
        made = Manifest(
            shard=self._shard,
            chunk=self._chunk_size,
            encoder=self._maker.name,
            fingerprint=self._maker.fingerprint,
            vocabulary=self._vocabulary.digest,
            terms=self._vocabulary.size,
            corpus=corpus,
            items=items,
            documents=len(vectors),
            ids=ids_digest(vectors),
            files={name: FileDigest.of(whole / name) for name in FILES},
        )
        (whole / MANIFEST).write_text(made.text(), encoding="utf-8")
        flush_file(whole / MANIFEST)
        flush_folder(whole)
        whole.rename(self.path)
        flush_folder(self.path.parent)
        self._files.close()
        self._there = made
        return made

    def _finished(self) -> Manifest:
        """The manifest of the shard that is there, once it is sure that it is this one."""
        there = ShardFolder(self.path)
        there.verify()
        found = there.manifest
        asked = self._shard, self._chunk_size, self._maker.fingerprint
        if (found.shard, found.chunk, found.fingerprint) != asked:
            raise UsageError(
                f"{self.path} is there already, of {found.encoder} (fingerprint "
                f"{found.fingerprint}), and {self._maker.name} ({self._maker.fingerprint}) is "
                "asked for; delete it, or give another --out"
            )
        return found


class ShardFolder:
    """A shard that was written.

    Raises:
        CorruptionError: its manifest is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = Manifest.read(path)

    def verify(self) -> None:
        """Raise CorruptionError unless each file has its digest, and they fit each other."""
        for name, expected in self.manifest.files.items():
            path = self.path / name
            try:
                if path.stat().st_size != expected.bytes:
                    raise damaged(self.path, f"{name} is not {expected.bytes} bytes long")
                if FileDigest.of(path) != expected:
                    raise damaged(self.path, f"{name} has another digest than when it was written")
            except OSError as error:
                raise damaged(self.path, f"{name} can't be read ({error.strerror})") from None
        vectors, counts = self.vectors(), self.counts()
        chunks = self.manifest.shard.chunks(self.manifest.items, self.manifest.chunk)
        words = self.manifest.files[CHUNK_WORDS].bytes // 4
        fits = len(vectors) == self.manifest.documents and len(counts) == len(chunks)
        if not fits or counts.sum(axis=0).tolist() != [len(vectors), words]:
            raise damaged(self.path, "its files don't fit each other")
        if ids_digest(vectors) != self.manifest.ids:
            raise damaged(self.path, "its ids are not those of its manifest")

    def vectors(self) -> CsrVectors:
        """Its rows, over its own vocabulary."""
        return CsrVectors(self.path / VECTORS)

    def counts(self) -> NDArray[np.int64]:
        """Documents and words of each chunk, int64 (chunks, 2).

        Raises:
            CorruptionError: they are no counts.
        """
        counts = np.fromfile(self.path / CHUNKS, "<i8")
        if len(counts) % 2 or (counts < 0).any() or (counts[::2] > self.manifest.chunk).any():
            raise damaged(self.path, f"{CHUNKS} holds no counts")
        return counts.reshape(-1, 2).astype(np.int64)

    def words(self) -> Iterator[NDArray[np.int32]]:
        """The words of each chunk in the order of its batch, as numbers of the shard's words."""
        begin = 0
        for _, count in self.counts():
            offset = begin * np.dtype(np.int32).itemsize
            yield np.fromfile(self.path / CHUNK_WORDS, "<i4", count, offset=offset)
            begin += count

    def documents(self) -> Iterator[list[Document]]:
        """The documents of each chunk.

        Raises:
            CorruptionError: they can't be read, or there are not as many as there should be.
        """
        try:
            with gzip.open(self.path / DOCUMENTS) as stream:
                for count, _ in self.counts():
                    lines = (stream.readline(LONGEST_WRITTEN) for _ in range(count))
                    yield [self._document(line) for line in lines]
                if stream.read(1):
                    raise damaged(self.path, f"{DOCUMENTS} has more documents than vectors")
        except UNREADABLE:
            raise damaged(self.path, f"{DOCUMENTS} can't be read") from None

    def _document(self, line: bytes) -> Document:
        try:
            return parse_document(json.loads(line))
        except (ValueError, RecursionError, InputError) as error:
            raise damaged(self.path, f"{DOCUMENTS} holds what is no document ({error})") from None


def _line(document: Document) -> bytes:
    parts = {"id": document.id, "title": document.title, "text": document.text}
    line = json.dumps(parts | {"metadata": dict(document.metadata)}, ensure_ascii=False)
    return f"{line}\n".encode()


def ids_digest(vectors: CsrVectors) -> str:
    """32 hexadecimal digits over the ids of all rows, in their order."""
    seen = hashlib.blake2b(digest_size=16)
    for first in range(0, len(vectors), DOCUMENTS_OF_A_READ):
        for identifier in vectors.ids(first, min(first + DOCUMENTS_OF_A_READ, len(vectors))):
            seen.update(len(identifier).to_bytes(8) + identifier)
    return seen.hexdigest()
