"""A collection that lies in Qdrant, with the methods of one in a directory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from index.collection.field import Field, dump_fields
from index.collection.field_encoders import FieldEncoders
from index.collection.metadata import KeyDescription
from index.collection.passage_table import OFF
from index.collection.writable import Vectors
from index.filters.tree import Filter
from index.qdrant.address import QdrantAddress
from index.qdrant.documents import QdrantDictionary, QdrantStore
from index.qdrant.layout import Record
from index.qdrant.making import is_made, make, port_of
from index.qdrant.port import QdrantPort
from index.qdrant.state import State, read_state
from index.qdrant.statistics import FrequencyLog
from index.qdrant.upkeep import QdrantUpkeep
from index.qdrant.view import QdrantView
from index.qdrant.words import WordList
from index.qdrant.writing import Writing, check_rows
from lsr.corpus.documents import Document, documents_digest
from lsr.corpus.passages import Passage
from lsr.errors import InputError, LsrError, NotFoundError
from lsr.trusted_code import NO_CODE, TrustedCode
from lsr.vocabulary import Vocabulary

# Seconds that a writer waits for others.
LONGEST_WAIT = 5.0


class QdrantCollection:
    """Documents by id, searchable field by field, in Qdrant.

    Any number of processes may read, one at a time writes. A write is in Qdrant when its method
    returns. Safe to use from several threads.
    """

    def __init__(
        self,
        port: QdrantPort,
        trusted: TrustedCode = NO_CODE,
        address: QdrantAddress | None = None,
    ) -> None:
        """The collection of a port, which is there.

        Raises:
            NotFoundError: it isn't.
            UsageError: it was not made by lsr.
            CorruptionError: what it says of itself is damaged.
        """
        self.address = address
        self.fields = FieldEncoders(_Latest(self), trusted)
        self.write_failure: LsrError | None = None
        self._entry = port
        self._pinned = threading.local()
        self._beginning = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        """Go to the collection that the name stands for now, be it an alias.

        All reads of a view go there, also once the alias stands for another.
        """
        name = self._entry.names().get(self._entry.name, self._entry.name)
        port = self.port = self._entry.at(name)
        self.words = WordList(port, Record.WORDS)
        self.frequencies = FrequencyLog(port)
        self._tokens = WordList(port, Record.TOKENS)
        self._latest = self._store_of(read_state(port))
        self._view: QdrantView | None = None
        self._writer = Writing(port, self.fields.encoder, self.words, self.frequencies, self.place)
        self.maintenance = QdrantUpkeep(port, self._writer, self.fields.encoder)

    @classmethod
    def create(
        cls,
        address: QdrantAddress,
        fields: Sequence[Field],
        vocabulary: Vocabulary | None = None,
        trusted: TrustedCode = NO_CODE,
        passages: str = OFF,
        shards: int | None = None,
        replicas: int | None = None,
    ) -> QdrantCollection:
        """A new, empty collection; see ``Collection.create``.

        ``shards`` and ``replicas`` are how many Qdrant makes; None: as many as it does by itself.

        Raises:
            UsageError: there is one already, or Qdrant makes none.
        """
        port = port_of(address)
        return cls.create_at(port, fields, vocabulary, trusted, passages, shards, replicas, address)

    @classmethod
    def create_at(
        cls,
        port: QdrantPort,
        fields: Sequence[Field],
        vocabulary: Vocabulary | None = None,
        trusted: TrustedCode = NO_CODE,
        passages: str = OFF,
        shards: int | None = None,
        replicas: int | None = None,
        address: QdrantAddress | None = None,
    ) -> QdrantCollection:
        """As ``create``, by a port to a name that is free."""
        make(port, fields, passages, vocabulary, shards, replicas)
        return cls(port, trusted, address)

    @classmethod
    def open(cls, address: QdrantAddress, trusted: TrustedCode = NO_CODE) -> QdrantCollection:
        """The collection of an address.

        Raises:
            NotFoundError: there is none.
            UsageError: it was not made by lsr.
            CorruptionError: what it says of itself is damaged, or of another release.
            UnavailableError: Qdrant can't be reached.
        """
        port = port_of(address)
        if not is_made(port):
            raise NotFoundError(f"there is no collection at {address}; push or index into it first")
        return cls(port, trusted, address)

    @classmethod
    def is_at(cls, address: QdrantAddress) -> bool:
        """Whether there is a collection at an address."""
        port = port_of(address)
        try:
            return is_made(port)
        finally:
            port.close()

    @classmethod
    def remove(cls, address: QdrantAddress) -> None:
        """Delete the collection of an address, if it is there."""
        port = port_of(address)
        try:
            port.drop()
        finally:
            port.close()

    def close(self) -> None:
        """Let go of Qdrant."""
        self._entry.close()

    @property
    def store(self) -> QdrantStore:
        """What is stored, as of the last committed write or of what this thread has pinned."""
        outer: QdrantView | None = getattr(self._pinned, "view", None)
        return self._now().store if outer is None else outer.store

    @property
    def place(self) -> str:
        """Its address."""
        return str(self.address or self._entry.name)

    @property
    def passages(self) -> str:
        """Whether documents are split that an encoder doesn't read to the end: "auto" or "off"."""
        return self._latest.state.passages

    def __len__(self) -> int:
        return self.store.count()

    def get(self, identifier: str) -> Document | None:
        """The document of that id, or None."""
        store = self.store
        numbers = list(store.sequences([identifier]).values())
        return next(iter(store.documents(numbers).values()), None)

    def ids(self) -> list[str]:
        """All ids, in the order of writing."""
        return self.store.all_ids()

    def describe(self) -> dict[str, int]:
        """Documents, those split and their passages, rows, and the number of the last write."""
        state = self.store.state
        return {
            "documents": state.documents,
            "rows": state.rows,
            "split": state.split,
            "passages": state.split_rows,
            "generation": state.revision,
        }

    def digest(self) -> str:
        """16 hexadecimal digits over all documents, whatever the order of writing."""
        return documents_digest(self.store.all_digests())

    def matching(self, wanted: Filter) -> list[str]:
        """Ids of the documents that pass a filter, in the order of writing."""
        with self.pinned() as view:
            numbers = self.passing(wanted).tolist()
            names = view.store.ids(numbers)
            return [names[number] for number in numbers]

    def passing(self, wanted: Filter) -> NDArray[np.int64]:
        """Numbers of the documents that pass a filter, ascending."""
        with self.pinned() as view:
            return view.store.live(condition=view.masks(wanted))

    def describe_metadata(self) -> list[KeyDescription]:
        """Every metadata key, by name, with the kinds of its values.

        Documents are counted that have some of a kind, not their values.
        """
        with self.pinned() as view:
            return view.describe_keys()

    @contextmanager
    def writing(self, wait: float | None = None) -> Iterator[None]:
        """Be the one writer; re-entrant within a thread.

        Raises:
            LockedError: another is, after ``wait`` seconds (None: a few).
        """
        self._now()
        with self._writer.held(LONGEST_WAIT if wait is None else wait):
            yield

    def upsert(
        self,
        documents: Sequence[Document],
        vectors: Vectors,
        passages: Sequence[Sequence[Passage]] = (),
    ) -> list[bool]:
        """Write documents with a row of each field's vectors; see ``Collection.upsert``."""
        check_rows(documents, vectors, passages, list(self.fields))
        with self._change():
            return self._writer.upsert(documents, vectors, passages)

    def delete(self, ids: Iterable[str]) -> set[str]:
        """Delete documents; returns the ids that were there."""
        with self._change():
            return self._writer.delete(list(dict.fromkeys(ids)))

    def delete_matching(self, wanted: Filter) -> set[str]:
        """Delete the documents that pass a filter; returns their ids."""
        with self._change():
            return self._writer.delete(self.matching(wanted))

    def change_settings(self, settings: Mapping[str, str]) -> None:
        """Keep texts with the documents, those of the names that are given."""
        with self._change():
            self._writer.change(
                lambda state: replace(state, settings={**state.settings, **settings})
            )

    def grow_vocabulary(self, vocabulary: Vocabulary, fields: Sequence[Field]) -> None:
        """Keep a vocabulary of imported vectors that begins with what there is, and its fields."""
        with self._change():
            state = self._writer.state
            new = vocabulary.tokens[state.tokens :]
            self._tokens.write(new, state.tokens, state.version)
            tokens, text = len(vocabulary.tokens), dump_fields(fields)
            self._writer.change(lambda state: replace(state, tokens=tokens, fields=text))

    @contextmanager
    def _change(self) -> Iterator[None]:
        """A write, by the one writer, and what is due after it."""
        with self.writing():
            try:
                yield
            except LsrError as error:
                if not isinstance(error, InputError):
                    self.write_failure = error
                raise
            self.write_failure = None
            self.maintenance.after_write()

    def view(self) -> QdrantView:
        """The collection as of its last committed write."""
        with self.pinned() as view:
            return view

    @contextmanager
    def pinned(self) -> Iterator[QdrantView]:
        """The collection as of its last committed write."""
        outer: QdrantView | None = getattr(self._pinned, "view", None)
        if outer is not None:
            yield outer
            return
        self._pinned.view = self._now()
        try:
            yield self._pinned.view
        finally:
            self._pinned.view = None

    def _now(self) -> QdrantView:
        """The view of what is committed; the last one where nothing has changed."""
        state = read_state(self._entry)
        if state.identity != self._latest.identity:
            with self._beginning:
                if state.identity != self._latest.identity:
                    self._begin()
            state = read_state(self.port)
        view = self._view
        if view is None or view.state.seen != state.seen:
            self._latest = self._store_of(state)
            view = self._view = QdrantView(self.port, self._latest, self.fields, self.frequencies)
        return view

    def _store_of(self, state: State) -> QdrantStore:
        return QdrantStore(self.port, state, self.words, self._tokens)


class _Latest:
    """Where the fields of a collection are stored: what it last saw."""

    def __init__(self, collection: QdrantCollection) -> None:
        self._collection = collection

    @property
    def _store(self) -> QdrantStore:
        return self._collection._latest

    @property
    def name(self) -> str:
        return self._store.name

    @property
    def fields(self) -> list[Field]:
        return self._store.fields

    @property
    def dictionary(self) -> QdrantDictionary:
        return self._store.dictionary

    def tokens(self) -> list[str]:
        return self._store.tokens()
