"""The rows of vectors of a store: one for each passage, or each document that is not split."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from index.collection.database import Database
from index.collection.dictionary import Dictionary
from index.collection.field import Field
from index.collection.metadata import in_lists
from index.collection.rows import VectorRow, append_vectors, name_of_row, vector_rows
from index.collection.schema import LAST
from index.collection.vector_rows import SparseRows, dense_rows, sparse_rows, sparse_vector
from lsr.errors import CorruptionError
from lsr.sparse import SparseBatch, SparseVector

RowNumbers = Callable[[int, int], tuple[NDArray[np.int64], NDArray[np.int64] | None]]
log = logging.getLogger(__name__)


class VectorTable:
    """The vectors of a store; reads give what the thread's transaction sees, verified.

    Args:
        database: the store's.
        dictionary: numbers the words of open vocabularies.
        row_numbers: the rows that the live documents of a range have, as of ``Store``.
    """

    def __init__(self, database: Database, dictionary: Dictionary, row_numbers: RowNumbers) -> None:
        self._database = database
        self._dictionary = dictionary
        self._row_numbers = row_numbers

    def append_sparse(self, field: Field, sequence: Sequence[int], batch: SparseBatch) -> None:
        """Store a sparse vector for each sequence number, weights as float16, words by number."""
        batch = self._dictionary.numbered(field, batch)
        append_vectors(self._database.connection, field.name, sparse_rows(sequence, batch))

    def append_dense(
        self, field: str, sequence: Sequence[int], vectors: NDArray[np.float32]
    ) -> None:
        """Store a dense vector for each sequence number."""
        append_vectors(self._database.connection, field, dense_rows(sequence, vectors))

    def sparse(self, field: Field, after: int = 0, until: int = LAST) -> SparseBatch:
        """Stored vectors of the rows that ``row_numbers`` names, in its order."""
        rows = SparseRows()
        for row in self._vectors(field, after, until):
            rows.append(row.terms, row.weights)
        try:
            return rows.unpack(self._dictionary.terms(field))
        except ValueError as error:
            raise CorruptionError(self._malformed(field)) from error

    def dense(self, field: Field, after: int = 0, until: int = LAST) -> NDArray[np.float32]:
        """Stored vectors of the rows that ``row_numbers`` names, in its order."""
        flat = bytearray()
        for row in self._vectors(field, after, until):
            flat += row.weights
        try:
            return np.frombuffer(flat, dtype=np.float32).reshape(-1, field.size)
        except ValueError as error:
            raise CorruptionError(self._malformed(field)) from error

    def rows(self, field: Field, sequence: Sequence[int]) -> dict[int, SparseVector]:
        """Stored vector of each sequence number that is live.

        Raises:
            CorruptionError: one is damaged.
        """
        found = self.sound_rows(field, sequence)
        if missing := set(sequence) - found.keys():
            raise CorruptionError(self._damaged_vector(field, min(missing)))
        return found

    def sound_rows(self, field: Field, sequence: Sequence[int]) -> dict[int, SparseVector]:
        """As ``rows``, without those that are damaged; these are logged."""
        found = {}
        for row in self._vector_rows(field, sequence):
            vector = sparse_vector(row.terms, row.weights) if row.is_sound(field.name) else None
            if vector is None:
                log.error("%s", self._damaged_vector(field, row.sequence))
            else:
                found[row.sequence] = vector
        return found

    def sound_dense_rows(
        self, field: Field, sequence: Sequence[int]
    ) -> dict[int, NDArray[np.float32]]:
        """Stored vector float32 (size,) of each sequence number that is live, but damaged ones."""
        return {
            row.sequence: np.frombuffer(row.weights, dtype=np.float32)
            for row in self._vector_rows(field, sequence)
            if row.is_sound(field.name) and len(row.weights) == 4 * field.size
        }

    def sound(self, field: Field, sequence: Sequence[int]) -> set[int]:
        """Which of some sequence numbers have a vector that is as it was written."""
        rows = self._vector_rows(field, sequence)
        return {row.sequence for row in rows if row.is_sound(field.name)}

    def damaged(self, field: Field) -> tuple[list[int], list[int]]:
        """Rows of live documents that are damaged or missing, and numbers of rows of none."""
        left = set(self._row_numbers(0, LAST)[0].tolist())
        strays = []
        for row in self._read(field, "TRUE", ()):
            if row.sequence not in left:
                strays.append(row.sequence)
            elif row.is_sound(field.name):
                left.discard(row.sequence)
        return sorted(left), sorted(set(strays) - left)

    def _vectors(self, field: Field, after: int, until: int) -> Iterator[VectorRow]:
        """The rows that ``row_numbers`` names, in its order."""
        condition = "sequence > ? AND sequence <= ? ORDER BY sequence"
        rows = self._read(field, condition, (after, until))
        for number in self._row_numbers(after, until)[0].tolist():
            row = next(rows, None)
            if row is None or row.sequence != number or not row.is_sound(field.name):
                raise CorruptionError(self._damaged_vector(field, number))
            yield row
        if row := next(rows, None):
            raise CorruptionError(self._damaged_vector(field, row.sequence))

    def _vector_rows(self, field: Field, sequence: Sequence[int]) -> Iterator[VectorRow]:
        for marks, part in in_lists(sequence):
            yield from self._read(field, f"sequence IN {marks}", part)

    def _read(
        self, field: Field, condition: str, parameters: Sequence[object]
    ) -> Iterator[VectorRow]:
        database = self._database
        return database.read(vector_rows(database.connection, field.name, condition, parameters))

    def _damaged_vector(self, field: Field, sequence: int) -> str:
        name = name_of_row(self._database.connection, sequence)
        return self._database.damage(f"vector of the document {name} in the field {field.name!r}")

    def _malformed(self, field: Field) -> str:
        return self._database.damage(f"vector of a document in the field {field.name!r}")
