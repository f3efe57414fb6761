"""A collection: one directory with its documents, their vectors, and the segment engines search."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.field import Field, check_encoder
from index.filter_masks import FilterMasks, Masks
from index.filters import Filter
from index.posting_list import PostingLists
from index.segment import Segment, read_segment, write_segment
from index.store import LAST, Store
from index.view import View, living
from lsr.dense import DenseEncoder
from lsr.documents import Document
from lsr.encoder import SparseEncoder, load_encoder
from lsr.errors import CorruptionError, InputError, LockedError, UsageError
from lsr.sparse import SparseBatch

STORE_FILE = "collection.sqlite"
SMALLEST_FLUSH = 20_000
Vectors = Mapping[str, "SparseBatch | NDArray[np.float32]"]
log = logging.getLogger(__name__)


class Collection:
    """Documents by id, searchable field by field.

    A write is on disk when its method returns. Documents newer than the segment are searched from
    memory; ``flush`` builds a new segment of everything. Any number of processes may read, one
    at a time may write. Safe to use from several threads.
    """

    def __init__(self, path: Path, store: Store) -> None:
        self.path = path
        self._store = store
        self._view: View | None = None
        self._filter_masks = FilterMasks(store)
        self._refreshing = threading.Lock()
        self._write_lock = threading.RLock()
        self._lock_depth = 0

    @classmethod
    def create(cls, path: Path, fields: Sequence[Field]) -> Collection:
        """A new, empty collection.

        Raises:
            UsageError: there is one already, or the path is in use.
        """
        if is_collection(path):
            raise UsageError(f"{path} holds a collection already; open it or give another path")
        try:
            (path / "segments").mkdir(parents=True, exist_ok=True)
            return cls(path, Store.create(path / STORE_FILE, fields))
        except (OSError, sqlite3.OperationalError) as error:
            raise UsageError(f"no collection can be created at {path}: {error}") from error

    @classmethod
    def open(cls, path: Path) -> Collection:
        """An existing collection.

        Raises:
            NotFoundError: there is none.
            CorruptionError: its file is damaged or of an unknown format version.
        """
        return cls(path, Store(path / STORE_FILE))

    @property
    def fields(self) -> list[Field]:
        """The fields, in the order in which the collection was created with them."""
        return self._store.fields

    def field(self, name: str) -> Field:
        """The field of that name; raises UsageError where there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise UsageError(
            f"the collection {self.path.name!r} has no {name!r} field; "
            f"it has {', '.join(field.name for field in self.fields)}"
        )

    def encoder(self, field: Field) -> SparseEncoder:
        """The encoder of a sparse field; raises EncoderMismatchError if it has changed."""
        encoder = _sparse_encoder(field.encoder)
        check_encoder(field, encoder.fingerprint)
        return encoder

    def dense_encoder(self, field: Field) -> DenseEncoder:
        """The encoder of a dense field; raises EncoderMismatchError if it has changed."""
        encoder = _dense_encoder(field.encoder)
        check_encoder(field, encoder.fingerprint)
        return encoder

    def __len__(self) -> int:
        return self._store.count()

    def get(self, identifier: str) -> Document | None:
        """The document of that id, or None."""
        numbers = list(self._store.sequences([identifier]).values())
        return next(iter(self._store.documents(numbers).values()), None)

    def ids(self) -> list[str]:
        """All ids, in the order of writing."""
        return self._store.all_ids()

    def digests(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Digest of each of these documents that is there."""
        return self._store.digests(ids)

    def describe(self) -> dict[str, int]:
        """Documents, those newer than the segment, deletions since, generation, bytes on disk."""
        snapshot = self._store.snapshot()
        files = [path for path in self.path.rglob("*") if path.is_file()]
        return {
            "documents": len(self),
            "unflushed": self._store.count_after(snapshot.last),
            "deleted": len(snapshot.deleted),
            "generation": snapshot.generation,
            "bytes": sum(path.stat().st_size for path in files),
        }

    def digest(self) -> str:
        """16 hexadecimal digits over all documents, whatever the order of writing."""
        total = hashlib.blake2b(digest_size=8)
        for digest in self._store.all_digests():
            total.update(digest)
        return total.hexdigest()

    @property
    def store(self) -> Store:
        """The truth underneath, for reads by sequence number."""
        return self._store

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the writer lock; re-entrant within a thread.

        Raises:
            LockedError: another process holds it.
        """
        with self._write_lock:
            handle = self._acquire() if self._lock_depth == 0 else None
            self._lock_depth += 1
            try:
                yield
            finally:
                self._lock_depth -= 1
                if handle is not None:
                    os.close(handle)

    def upsert(self, documents: Sequence[Document], vectors: Vectors) -> list[bool]:
        """Write documents with a row of each field's vectors; all of them or none.

        Returns:
            For each document whether it is new (True) or replaced one of the same id (False).

        Raises:
            InputError: a field is missing or has another number of rows, or an id is repeated.
            LockedError: another process is writing.
        """
        ids = [document.id for document in documents]
        if len(set(ids)) != len(ids):
            raise InputError("the batch holds an id more than once; give each id once")
        for field in self.fields:
            if len(vectors.get(field.name, ())) != len(documents):
                raise InputError(f"each document needs a vector for the field {field.name!r}")
        with self.writing():
            with self._store.writing():
                replaced = self._store.remove(ids)
                sequence = self._store.append(documents)
                for field in self.fields:
                    rows = vectors[field.name]
                    if isinstance(rows, SparseBatch):
                        self._store.append_sparse(field.name, sequence, rows)
                    else:
                        self._store.append_dense(field.name, sequence, rows)
            self._flush_if_large()
        return [identifier not in replaced for identifier in ids]

    def delete(self, ids: Iterable[str]) -> set[str]:
        """Delete documents; returns the ids that were there."""
        with self.writing(), self._store.writing():
            return self._store.remove(dict.fromkeys(ids))

    def delete_matching(self, wanted: Filter) -> set[str]:
        """Delete the documents that pass a filter; returns their ids."""
        with self.writing(), self._store.writing():
            live = self._store.live()
            found = live[self._store.matching(wanted, live)].tolist()
            return self._store.remove(self._store.ids(found).values())

    def masks(self, view: View, wanted: Filter) -> Masks:
        """For each segment of a view, which documents live and pass a filter."""
        return self._filter_masks.of(view, wanted)

    def flush(self) -> None:
        """Build a segment of all live documents, weighed by the statistics of now."""
        with self.writing():
            snapshot = self._store.snapshot()
            segment = self._build(after=0, average_lengths={})
            generation = snapshot.generation + 1
            (self.path / "segments").mkdir(exist_ok=True)
            write_segment(self._segment_path(generation), segment)
            last = int(segment.sequence[-1]) if len(segment) else snapshot.last
            with self._store.writing():
                self._store.publish(generation, last)
            self._remove_segments(keep=(generation, snapshot.generation))

    def flushed(self) -> bool:
        """Whether the segment holds exactly the live documents."""
        snapshot = self._store.snapshot()
        return self._store.count_after(snapshot.last) == 0 and len(snapshot.deleted) == 0

    def view(self) -> View:
        """The collection as of its last committed write."""
        view = self._view
        if view is None or view.revision != self._store.revision():
            with self._refreshing:
                view = self._view
                if view is None or view.revision != self._store.revision():
                    view = self._view = self._refresh(view)
        return view

    def _refresh(self, previous: View | None) -> View:
        with self._store.reading():
            revision = self._store.revision()
            snapshot = self._store.snapshot()
            if previous is not None and previous.generation == snapshot.generation:
                main = previous.segments[0]
            else:
                main = self._open_segment(snapshot.generation, snapshot.last)
            # A segment of nothing but empty documents has no length to weigh others by.
            lengths = {name: mean for name, mean in main.average_lengths.items() if mean > 0}
            tail = self._build(after=snapshot.last, average_lengths=lengths)
        segments = [main, tail] if len(tail) else [main]
        alive = [living(main, snapshot.deleted), None][: len(segments)]
        counts = next((field for field in self.fields if field.counts), None)
        return View(revision, snapshot.generation, tuple(segments), tuple(alive), counts)

    def _open_segment(self, generation: int, last: int) -> Segment:
        """The published segment; rebuilt in memory from the store where it is damaged."""
        if generation == 0:
            return self._build(after=0, average_lengths={}, until=0)
        try:
            return read_segment(self._segment_path(generation))
        except CorruptionError as error:
            log.warning("%s; it is rebuilt from the store in memory", error)
            return self._build(after=0, average_lengths={}, until=last)

    def _build(
        self, after: int, average_lengths: Mapping[str, float], until: int = LAST
    ) -> Segment:
        """A segment in memory of the live documents after one sequence number, up to another."""
        sequence = self._store.live(after, until)
        lengths = dict(average_lengths)
        postings: dict[str, PostingLists] = {}
        vectors: dict[str, NDArray[np.float32]] = {}
        for field in self.fields:
            if field.kind == "dense":
                vectors[field.name] = self._store.dense_vectors(field, after, until)
                continue
            stored = self._store.sparse_vectors(field, after, until)
            if field.counts:
                encoder = self.encoder(field)
                statistics = encoder.statistics(stored)
                average = lengths.setdefault(field.name, statistics.average_length)
                stored = encoder.impacts(stored, replace(statistics, average_length=average))
            postings[field.name] = PostingLists.invert(stored)
        return Segment(sequence, postings, vectors, lengths)

    def _flush_if_large(self) -> None:
        new = self._store.count_after(self._store.snapshot().last)
        if new >= SMALLEST_FLUSH and new >= self._store.count() // 3:
            self.flush()

    def _segment_path(self, generation: int) -> Path:
        return self.path / "segments" / f"{generation:06d}.segment"

    def _remove_segments(self, keep: Sequence[int]) -> None:
        kept = {self._segment_path(generation) for generation in keep}
        for path in (self.path / "segments").iterdir():
            if path not in kept:
                with suppress(FileNotFoundError):
                    path.unlink()

    def _acquire(self) -> int:
        handle = os.open(self.path / "writer.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise LockedError(
                f"another process is writing to {self.path}; wait until it has finished"
            ) from None
        return handle


def is_collection(path: Path) -> bool:
    """Whether a directory holds a collection."""
    return (path / STORE_FILE).is_file()


@lru_cache(maxsize=8)
def _sparse_encoder(name: str) -> SparseEncoder:
    return load_encoder(name)


@lru_cache(maxsize=8)
def _dense_encoder(name: str) -> DenseEncoder:
    return DenseEncoder.load(name)
