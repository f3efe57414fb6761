"""What writes and lists documents sees of a collection, wherever it lies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from index.collection.field import Field
from index.collection.metadata import KeyDescription
from index.collection.view import PassageReader, Searchable, StoreReader, VectorReader, WordReader
from index.filters.tree import Filter
from lsr.corpus.documents import Document
from lsr.corpus.passages import Passage
from lsr.errors import CorruptionError, LsrError
from lsr.sparse import SparseBatch, SparseVector
from lsr.vocabulary import Vocabulary

Vectors = Mapping[str, "SparseBatch | NDArray[np.float32]"]


class StoredVectors(VectorReader, Protocol):
    """Vectors as they are stored."""

    def rows(self, field: Field, sequence: Sequence[int]) -> dict[int, SparseVector]:
        """Those of some rows of a sparse field; raises CorruptionError where one is damaged."""
        ...

    def sound_dense_rows(
        self, field: Field, sequence: Sequence[int]
    ) -> dict[int, NDArray[np.float32]]:
        """Those of some rows of a dense field that are not damaged."""
        ...


class StoredPassages(PassageReader, Protocol):
    """The passages of documents that are split."""

    def count(self) -> tuple[int, int]:
        """How many documents are split, and into how many passages."""
        ...


class StoredWords(WordReader, Protocol):
    """The words of open fields."""

    def terms(self, field: Field) -> int:
        """How many terms a sparse field has: the ids from 0 on."""
        ...

    def words(self, field: Field, terms: Sequence[int]) -> dict[int, str]:
        """The words that some terms of an open field stand for; terms below its size aren't."""
        ...


class DocumentStore(StoreReader, Protocol):
    """What is stored of documents, by their numbers, which ascend in the order of writing."""

    @property
    def vectors(self) -> StoredVectors:
        """As they are stored."""
        ...

    @property
    def passages(self) -> StoredPassages:
        """Of documents that are split."""
        ...

    @property
    def dictionary(self) -> StoredWords:
        """The words of open fields."""
        ...

    @property
    def place(self) -> str:
        """Directory or address of the collection."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """One consistent state for all reads inside, as far as there is one."""
        ...

    def revision(self) -> int:
        """A number that grows with each write."""
        ...

    def setting(self, name: str, absent: str | None = None) -> str | int:
        """A text or number that is kept with the documents; ``absent`` where it never was."""
        ...

    def check_writable(self) -> None:
        """Raise UsageError where it may only be read."""
        ...

    def digests(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Digest of each id that is there; empty where something of it is damaged."""
        ...

    def all_ids(self) -> list[str]:
        """Every id, in the order of writing."""
        ...

    def live(self, after: int = 0, *, most: int = -1) -> NDArray[np.int64]:
        """Numbers of the documents that live after one, ascending: the first ``most``, or all."""
        ...

    def documents(self, sequence: Sequence[int]) -> dict[int, Document]:
        """The document of each number; raises CorruptionError for a damaged one."""
        ...


class Upkeep(Protocol):
    """What a collection does in its own time."""

    @property
    def failure(self) -> Exception | None:
        """Why the last of it failed; None: it did not."""
        ...

    def flushed(self) -> bool:
        """Whether ``flush`` would change nothing."""
        ...

    def flush(self) -> None:
        """Do what is due now."""
        ...


class Writable(Searchable, Protocol):
    """A collection whose documents are written, listed and deleted."""

    @property
    def store(self) -> DocumentStore:
        """What is stored."""
        ...

    @property
    def maintenance(self) -> Upkeep:
        """What it does in its own time."""
        ...

    @property
    def write_failure(self) -> LsrError | None:
        """Why the last write through this handle failed; None: it did not."""
        ...

    @property
    def passages(self) -> str:
        """Whether documents are split that an encoder doesn't read to the end: "auto" or "off"."""
        ...

    @property
    def place(self) -> str:
        """Its directory or address."""
        ...

    def __len__(self) -> int: ...

    def get(self, identifier: str) -> Document | None:
        """The document of that id, or None."""
        ...

    def ids(self) -> list[str]:
        """All ids, in the order of writing."""
        ...

    def digest(self) -> str:
        """16 hexadecimal digits over all documents, whatever the order of writing."""
        ...

    def describe(self) -> dict[str, int]:
        """Documents, and what else there is to count."""
        ...

    def describe_metadata(self) -> list[KeyDescription]:
        """Every metadata key, by name, with the kinds of its values."""
        ...

    def writing(self, wait: float | None = None) -> AbstractContextManager[None]:
        """Be the one writer; re-entrant within a thread."""
        ...

    def upsert(
        self,
        documents: Sequence[Document],
        vectors: Vectors,
        passages: Sequence[Sequence[Passage]] = (),
    ) -> list[bool]:
        """Write documents with a row of each field's vectors, all of them or none."""
        ...

    def delete(self, ids: Iterable[str]) -> set[str]:
        """Delete documents; returns the ids that were there."""
        ...

    def matching(self, wanted: Filter) -> list[str]:
        """Ids of the documents that pass a filter, in the order of writing."""
        ...

    def passing(self, wanted: Filter) -> NDArray[np.int64]:
        """Numbers of the documents that pass a filter, ascending."""
        ...

    def delete_matching(self, wanted: Filter) -> set[str]:
        """Delete the documents that pass a filter; returns their ids."""
        ...

    def grow_vocabulary(self, vocabulary: Vocabulary, fields: Sequence[Field]) -> None:
        """Keep a vocabulary of imported vectors that begins with what there is, and its fields."""
        ...

    def change_settings(self, settings: Mapping[str, str]) -> None:
        """Keep texts with the documents, those of the names that are given."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def stored_rows(
    store: DocumentStore, field: Field, numbers: Sequence[int]
) -> SparseBatch | NDArray[np.float32]:
    """The stored vectors of some rows of a field, in their order.

    Raises:
        CorruptionError: one is damaged.
    """
    if field.kind == "sparse":
        rows = store.vectors.rows(field, numbers)
        size = store.dictionary.terms(field)
        return SparseBatch.from_rows([rows[number] for number in numbers], size)
    dense = store.vectors.sound_dense_rows(field, numbers)
    if len(dense) < len(set(numbers)):
        raise CorruptionError(store.damage(f"vectors of the field {field.name!r}"))
    found = np.array([dense[number] for number in numbers], dtype=np.float32)
    return found.reshape(len(numbers), field.size)
