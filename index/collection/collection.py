"""A collection: one directory with its documents, their vectors, and segments to search."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.collection.builder import Builder
from index.collection.columns import Columns
from index.collection.current_view import CurrentView
from index.collection.field import Field, dump_fields
from index.collection.field_encoders import FieldEncoders
from index.collection.maintenance import Maintenance, MaintenanceConfig
from index.collection.metadata import KeyDescription
from index.collection.passage_table import AUTO, OFF
from index.collection.segment_table import SEGMENTS, SegmentTable
from index.collection.segment_view import SegmentView
from index.collection.storage_errors import is_full
from index.collection.store import Store
from index.collection.text_frequencies import TextFrequencies
from index.collection.writable import Vectors
from index.collection.writer_lock import WriterLock
from index.engines.array_room import room_in
from index.filters.tree import Filter
from lsr.corpus.documents import Document, documents_digest
from lsr.corpus.passages import Passage
from lsr.errors import (
    InputError,
    LockedError,
    LsrError,
    StorageFullError,
    UsageError,
)
from lsr.settings import check_choice
from lsr.sparse import SparseBatch
from lsr.trusted_code import NO_CODE, TrustedCode
from lsr.vocabulary import Vocabulary
from lsr.whole_folder import flush_folder

STORE_FILE = "collection.sqlite"
# Seconds that a writer waits for others.
LONGEST_WAIT = 5.0


class Collection:
    """Documents by id, searchable field by field.

    A write is on disk when its method returns. Documents newer than the segments are searched
    from memory; a thread of the writing process makes segments of them and merges these. Any
    number of processes may read, one at a time may write. Safe to use from several threads.

    ``fields`` has the fields and their encoders, ``store`` is the truth underneath, ``segments``
    says which segments are current, ``maintenance`` builds them, and ``columns`` has the metadata
    beside them. ``write_failure`` is why the last write through this handle failed, as on a full
    disk; None once one has succeeded.
    """

    def __init__(
        self,
        path: Path,
        store: Store,
        config: MaintenanceConfig | None = None,
        trusted: TrustedCode = NO_CODE,
        mapped_in: str | Path | None = None,
    ) -> None:
        self.path = path
        self.store = store
        self.room = room_in(mapped_in)
        self.fields = FieldEncoders(store, trusted)
        self.builder = Builder(store, self.fields.encoder)
        self.frequencies = TextFrequencies(store, self.fields)
        self.segments = SegmentTable(store)
        self.columns = Columns(store)
        self._current = CurrentView(path, store, self.builder, self.columns, self.fields, self.room)
        self.maintenance = Maintenance(
            path,
            store,
            self.builder,
            config or MaintenanceConfig(),
            self._current.adopt,
            self.room,
        )
        self._writer = WriterLock(path)
        self.write_failure: LsrError | None = None

    @classmethod
    def create(
        cls,
        path: Path,
        fields: Sequence[Field],
        config: MaintenanceConfig | None = None,
        vocabulary: Vocabulary | None = None,
        trusted: TrustedCode = NO_CODE,
        passages: str = OFF,
    ) -> Collection:
        """A new, empty collection; ``vocabulary`` is that of a field of imported vectors.

        ``trusted`` as for ``open``. ``passages`` says whether documents are split that an encoder
        doesn't read to the end: "auto" or "off".

        Raises:
            UsageError: there is one already, the path is in use, or ``passages`` is neither.
        """
        check_choice("passages", passages, (AUTO, OFF))
        room_in(None)  # Raises before anything is made.
        if is_collection(path):
            raise UsageError(f"{path} holds a collection already; open it or give another path")
        try:
            (path / SEGMENTS).mkdir(parents=True, exist_ok=True)
            flush_folder(path.parent)
            return cls(
                path, Store.create(path / STORE_FILE, fields, vocabulary, passages), config, trusted
            )
        except (OSError, sqlite3.OperationalError) as error:
            reason = getattr(error, "strerror", None) or error
            sentence = f"no collection can be created at {path} ({reason}); give another path"
            raise (StorageFullError if is_full(error, path) else UsageError)(sentence) from error

    @classmethod
    def open(
        cls,
        path: Path,
        config: MaintenanceConfig | None = None,
        trusted: TrustedCode = NO_CODE,
        mapped_in: str | Path | None = None,
    ) -> Collection:
        """An existing collection, maintained by the defaults where no ``config`` says otherwise.

        ``trusted`` are the models whose Python code may run, which no collection says itself.
        ``mapped_in`` is a folder on a disk that indexes are mapped from, so that they may be larger
        than memory; None: as the environment's ``LSR_MAPPED_IN`` says, or in memory.

        Raises:
            NotFoundError: there is none.
            CorruptionError: its file is damaged or of an unknown format version.
            UsageError: there is no folder ``mapped_in``.
        """
        return cls(path, Store(path / STORE_FILE), config, trusted, mapped_in)

    def close(self) -> None:
        """Stop the work in the background, abandoning a build, which loses nothing."""
        self.maintenance.close()
        self.store.close()

    def __len__(self) -> int:
        return self.store.count()

    def get(self, identifier: str) -> Document | None:
        """The document of that id, or None."""
        with self.store.reading():
            numbers = list(self.store.sequences([identifier]).values())
            return next(iter(self.store.documents(numbers).values()), None)

    def ids(self) -> list[str]:
        """All ids, in the order of writing."""
        return self.store.all_ids()

    def describe(self) -> dict[str, int]:
        """Documents, segments, what is not in them yet, deletions, generation, bytes on disk.

        ``split`` documents are searched by their ``passages``, of which each counts in ``deleted``.
        """
        with self.store.reading():
            current = self.segments.current()
            described = {
                "documents": len(self),
                "segments": len(current.segments),
                "unflushed": self.store.count_after(current.base),
                "deleted": sum(entry.deleted for entry in current.segments),
                "generation": current.generation,
            }
            described["split"], described["passages"] = self.store.passages.count()
        size = 0
        for path in self.path.rglob("*"):
            with suppress(FileNotFoundError):
                size += path.stat().st_size if path.is_file() else 0
        return described | {"bytes": size}

    def digest(self) -> str:
        """16 hexadecimal digits over all documents, whatever the order of writing."""
        return documents_digest(self.store.all_digests())

    @contextmanager
    def writing(self, wait: float | None = None) -> Iterator[None]:
        """Hold the writer lock; re-entrant within a thread.

        Args:
            wait: seconds to wait for other writers; None: a few.

        Raises:
            LockedError: another thread or process has not let go of it by then, or another
                collection has its place now.
            NotFoundError: it was deleted since this handle was opened.
            UsageError: the collection may only be read.
        """
        self.store.check_writable()
        self.store.check_in_place()
        try:
            with self._writer.held(LONGEST_WAIT if wait is None else wait) as held:
                if not held:
                    raise LockedError(
                        f"{self._holder()} is writing to {self.path}; wait until it has finished"
                    )
                # The lock may be that of another collection, which took the place of this one.
                self.store.check_in_place()
                yield
        except FileNotFoundError:
            self.store.check_in_place()
            raise

    @property
    def place(self) -> str:
        """Its directory."""
        return str(self.path)

    @property
    def passages(self) -> str:
        """Whether documents are split that an encoder doesn't read to the end: "auto" or "off"."""
        return str(self.store.setting("passages"))

    def upsert(
        self,
        documents: Sequence[Document],
        vectors: Vectors,
        passages: Sequence[Sequence[Passage]] = (),
    ) -> list[bool]:
        """Write documents with a row of each field's vectors; all of them or none.

        Args:
            documents: of distinct ids.
            vectors: of each field, a row for each document, or for each passage of one that is
                split, in their order.
            passages: those of each document, fewer than two where it is not split; empty: none is.

        Returns:
            For each document whether it is new (True) or replaced one of the same id (False).

        Raises:
            InputError: a field is missing or has another number of rows, or an id is repeated.
            LockedError: another process is writing.
        """
        ids = [document.id for document in documents]
        if len(set(ids)) != len(ids):
            raise InputError("the batch holds an id more than once; give each id once")
        rows_wanted = sum(max(len(parts), 1) for parts in passages) or len(documents)
        for field in self.fields:
            if len(vectors.get(field.name, ())) != rows_wanted:
                raise InputError(f"each document needs a vector for the field {field.name!r}")
        added = self.frequencies.of(documents, passages)
        with self._transaction(), self.frequencies.replacing(ids, added):
            replaced = self.store.remove(ids)
            sequence = self.store.append(documents, passages)
            for field in self.fields:
                rows = vectors[field.name]
                if isinstance(rows, SparseBatch):
                    self.store.vectors.append_sparse(field, sequence, rows)
                else:
                    self.store.vectors.append_dense(field.name, sequence, rows)
            self._weigh_before_segments()
        self.maintenance.wake()
        return [identifier not in replaced for identifier in ids]

    def delete(self, ids: Iterable[str]) -> set[str]:
        """Delete documents; returns the ids that were there."""
        distinct = list(dict.fromkeys(ids))
        with self._transaction(), self.frequencies.replacing(distinct):
            removed = self.store.remove(distinct)
        self.maintenance.wake()
        return removed

    def matching(self, wanted: Filter) -> list[str]:
        """Ids of the documents that pass a filter, in the order of writing."""
        with self.store.reading():
            found = self.passing(wanted).tolist()
            names = self.store.ids(found)
            return [names[number] for number in found]

    def passing(self, wanted: Filter) -> NDArray[np.int64]:
        """Numbers of the documents that pass a filter, ascending."""
        with self.store.reading():
            live = self.store.live()
            return live[self.columns.matching(wanted, live)]

    def describe_metadata(self) -> list[KeyDescription]:
        """Every metadata key, by name, with the kinds of its values and how many there are."""
        return self.columns.describe()

    def grow_vocabulary(self, vocabulary: Vocabulary, fields: Sequence[Field]) -> None:
        """Keep a vocabulary of imported vectors that begins with what there is, and its fields."""
        tokens = json.dumps(vocabulary.tokens)
        with self.writing(), self.store.writing():
            self.store.change({"vocabulary": tokens, "fields": dump_fields(fields)})

    def change_settings(self, settings: Mapping[str, str]) -> None:
        """Keep texts with the documents, those of the names that are given."""
        with self.writing(), self.store.writing():
            self.store.change(settings)

    def delete_matching(self, wanted: Filter) -> set[str]:
        """Delete the documents that pass a filter; returns their ids."""
        with self._transaction():
            ids = self.matching(wanted)
            with self.frequencies.replacing(ids):
                removed = self.store.remove(ids)
        self.maintenance.wake()
        return removed

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All writes inside or none, by the one writer."""
        with self.writing():
            try:
                with self.store.writing():
                    yield
            except LsrError as error:
                if not isinstance(error, InputError):
                    self.write_failure = error
                raise
            self.write_failure = None

    def view(self) -> SegmentView:
        """The collection as of its last committed write."""
        with self.pinned() as view:
            return view

    def pinned(self) -> AbstractContextManager[SegmentView]:
        """The collection as of its last committed write; reads of the store inside see the same."""
        return self._current.pinned()

    def is_at_hand(self) -> bool:
        """Whether the view of the last committed write is there, so that to pin it is no work."""
        return self._current.is_at_hand()

    def preload(self, engine: str = "native") -> None:
        """Have the segments in memory for a fork of this process, which opens the collection.

        Raises:
            CorruptionError: one is damaged.
        """
        self._current.preload(engine)

    def _weigh_before_segments(self) -> None:
        """While there is no segment, take the average lengths anew whenever rows have doubled.

        They are part of the store, so that every reader weighs alike.
        """
        current = self.segments.current()
        if not current.segments and current.written >= 2 * current.weighed:
            self.segments.weigh(self.builder.average_lengths(), current.written)

    def _holder(self) -> str:
        pid = self._writer.holder()
        if pid is None:
            return "another process"
        return "another handle of this process" if pid == os.getpid() else f"the process {pid}"


def is_collection(path: Path) -> bool:
    """Whether a directory holds a collection."""
    return (path / STORE_FILE).is_file()
