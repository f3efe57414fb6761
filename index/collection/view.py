"""What the query path sees of a collection: one state of it, wherever it lies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from index.collection.column import Column
from index.collection.field import Field
from index.collection.field_encoders import FieldEncoders
from index.engines.searcher import EXACT, Pruning, TopK
from index.filters.tree import Filter, Kind
from lsr.corpus.documents import Document
from lsr.corpus.passages import Passage
from lsr.sparse import SparseBatch, SparseVector
from lsr.statistics import CollectionStatistics

# What a view made of a filter or of numbers, for itself; nobody else looks into it.
Passing = Any
Chosen = Any


class PassageReader(Protocol):
    """The passages of documents that are split."""

    def of(self, sequence: Sequence[int]) -> dict[int, list[Passage]]:
        """Those of each of some documents, by number, that is split."""
        ...

    def sizes(self, sequence: Sequence[int]) -> dict[int, int]:
        """How many rows of vectors each of some documents has."""
        ...


class WordReader(Protocol):
    """The words of open fields."""

    def numbers(self, field: Field, words: Iterable[str]) -> dict[str, int]:
        """The term ids of those of the words that an open field has."""
        ...

    def beginning(self, field: Field, start: str) -> dict[str, int]:
        """The term ids of the words of an open field that begin with some letters."""
        ...


class VectorReader(Protocol):
    """Vectors as they are stored."""

    def sound_rows(self, field: Field, sequence: Sequence[int]) -> dict[int, SparseVector]:
        """Those of some rows of a sparse field that are not damaged, by number."""
        ...


class StoreReader(Protocol):
    """What is stored of the documents of a view."""

    @property
    def identity(self) -> str:
        """32 hexadecimal digits that no other collection has."""
        ...

    @property
    def passages(self) -> PassageReader:
        """Of documents that are split."""
        ...

    @property
    def dictionary(self) -> WordReader:
        """The words of open fields."""
        ...

    @property
    def vectors(self) -> VectorReader:
        """As they are stored."""
        ...

    def ids(self, sequence: Sequence[int]) -> dict[int, str]:
        """The id of each of some documents, by number."""
        ...

    def sequences(self, ids: Sequence[str]) -> dict[str, int]:
        """The number of each id that is there."""
        ...

    def sound_documents(self, sequence: Sequence[int]) -> dict[int, Document]:
        """Those of some documents, by number, that are not damaged."""
        ...

    def damage(self, what: str) -> str:
        """The sentence that something in here is damaged."""
        ...


class View(Protocol):
    """One state of a collection, while it is pinned.

    Rankings name documents by number, which ascends in the order of writing. A row is a document,
    or a passage of one that is split: these have the document's number and those that follow it. A
    split document scores as its best passage. What ``masks``, ``only``, ``only_documents`` and
    ``without`` give says what may be found; None: all that live.
    """

    @property
    def revision(self) -> int:
        """Grows with each write."""
        ...

    @property
    def fields(self) -> FieldEncoders:
        """The fields and their encoders."""
        ...

    @property
    def store(self) -> StoreReader:
        """The documents."""
        ...

    @property
    def generation(self) -> int:
        """A number that tells states of the index apart; 0: it is empty."""
        ...

    @property
    def rows(self) -> int:
        """How many rows there are, of which some may not live any more."""
        ...

    @property
    def newest(self) -> int:
        """The largest number of a row; each that is written later has a larger."""
        ...

    @property
    def keys(self) -> list[str]:
        """The metadata keys that documents have, sorted."""
        ...

    @property
    def search_defaults(self) -> str:
        """How it is searched where a search doesn't say, as JSON; ``{}``: nothing was tuned."""
        ...

    @property
    def caveats(self) -> list[str]:
        """A sentence for each way in which answers may differ from what is asked for."""
        ...

    def rows_after(self, number: int) -> int:
        """How many rows have a larger number."""
        ...

    def count_documents(self, masks: Passing | None) -> int:
        """How many documents may be found."""
        ...

    def search_sparse(
        self,
        field: Field,
        queries: SparseBatch,
        k: int,
        engine: str,
        pruning: Pruning = EXACT,
        masks: Passing | None = None,
    ) -> TopK:
        """Top k of a sparse field."""
        ...

    def search_dense(
        self, field: Field, queries: NDArray[np.float32], k: int, masks: Passing | None = None
    ) -> TopK:
        """Top k of a dense field; queries float32 (n, dimension)."""
        ...

    def weights(
        self, field: Field, rows: Sequence[int], terms: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """The weights that engines score of some terms of a sparse field, float32 (rows, terms).

        0 where a row lacks a term, or isn't there.
        """
        ...

    def scored_rows(self, field: Field, numbers: Sequence[int]) -> tuple[list[int], SparseBatch]:
        """The weights that engines score of rows of a sparse field.

        Returns:
            The numbers of the rows that are not damaged, and a row for each.
        """
        ...

    def dense_rows(self, field: Field, numbers: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """The vectors, float32 (dimension,), of those rows of a dense field that are there."""
        ...

    def masks(self, wanted: Filter) -> Passing:
        """What passes a filter.

        Raises:
            InputError: the filter is too deep or too large.
        """
        ...

    def only(self, rows: Sequence[int]) -> Passing:
        """These rows."""
        ...

    def only_documents(self, numbers: NDArray[np.int64]) -> Passing:
        """All rows of these documents, int64 (n,), ascending."""
        ...

    def without(self, rows: Sequence[int], masks: Passing | None) -> Passing:
        """What may be found but for these rows."""
        ...

    def passes(self, wanted: Filter, rows: Sequence[int]) -> bool:
        """Whether a filter lets any of some rows pass."""
        ...

    def kinds(self, key: str) -> frozenset[Kind]:
        """The kinds of the values that documents have under a key."""
        ...

    def holds_dates(self, key: str) -> bool:
        """Whether the first and the last string under a key, of which there are, are dates."""
        ...

    def columns_of(
        self, keys: Collection[str], numbers: NDArray[np.int64]
    ) -> list[tuple[dict[str, Column], NDArray[np.int64], NDArray[np.int64]]]:
        """Columns of keys with some documents in them, int64 (n,), in parts.

        Of each part: the columns; the places, in ``numbers``, of the documents that are in it; and
        the places of these in the columns, int64 like the former.
        """
        ...

    def all_columns(
        self, keys: Collection[str], masks: Passing | None
    ) -> list[tuple[dict[str, Column], NDArray[np.int64], NDArray[np.bool_]]]:
        """Columns of keys with all documents, in parts.

        Of each part: the columns; the numbers of its documents, int64 (size,); and which of them
        may be found, bool (size,).
        """
        ...

    def chosen(self, masks: Passing | None) -> Chosen:
        """The documents that may be found, for ``value_counts``."""
        ...

    def among(self, numbers: NDArray[np.int64]) -> Chosen:
        """These documents, int64 (n,), for ``value_counts``."""
        ...

    def value_counts(
        self, key: str, chosen: Chosen
    ) -> tuple[int, int, list[tuple[Column, NDArray[np.int64]]]]:
        """How many of the chosen documents have each value of a key.

        Returns:
            How many are chosen; how many of them have any value but objects; and, in parts, the
            values (of a column whose documents don't matter) with the count of each, int64 (v,).
        """
        ...

    def statistics(self, field: Field) -> CollectionStatistics:
        """Term statistics of a field that stores counts, be it of words alone."""
        ...

    def text_statistics(self, field: Field) -> CollectionStatistics:
        """Statistics of the closed terms of a field that are counted in texts."""
        ...

    def terms(self, field: Field) -> int:
        """How many terms a sparse field has, those of its open part included."""
        ...

    def tokens(self, field: Field, terms: Sequence[int]) -> dict[int, str]:
        """How some terms of a sparse field are spelled."""
        ...


class Searchable(Protocol):
    """A collection, as the query path needs it."""

    @property
    def fields(self) -> FieldEncoders:
        """The fields and their encoders."""
        ...

    def pinned(self) -> AbstractContextManager[View]:
        """The collection as of its last committed write."""
        ...
