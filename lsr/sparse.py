"""Sparse vectors of term weights, one (``SparseVector``) and many (``SparseBatch``, CSR)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from lsr.errors import InputError

# What is stored is float16; larger weights are cut to its largest number.
LARGEST_WEIGHT = 65504.0


@dataclass(frozen=True, slots=True, eq=False)
class SparseVector:
    """Term weights of one text.

    ``indices`` int32 (nnz,) strictly ascending term ids; ``values`` float32 (nnz,).
    """

    indices: NDArray[np.int32]
    values: NDArray[np.float32]

    @classmethod
    def from_mapping(cls, weights: Mapping[int, float]) -> Self:
        """Build from term id -> weight."""
        terms = sorted(weights)
        return cls(
            np.array(terms, dtype=np.int32),
            np.array([weights[term] for term in terms], dtype=np.float32),
        )

    @classmethod
    def from_user(
        cls, indices: Sequence[int], values: Sequence[float], vocabulary_size: int
    ) -> Self:
        """Build from outside input in any order; zero weights are dropped.

        Raises:
            InputError: lengths differ, an index is repeated or outside
                ``[0, vocabulary_size)``, or a weight is negative, infinite or NaN.
        """
        if len(indices) != len(values):
            raise InputError(
                f"a sparse vector has {len(indices)} indices and {len(values)} values; "
                "give one value for each index"
            )
        try:
            terms = np.asarray(indices, dtype=np.int64).reshape(-1)
            with np.errstate(over="ignore"):
                weights = np.asarray(values, dtype=np.float64).reshape(-1).astype(np.float32)
        except OverflowError:
            raise InputError(
                "a sparse vector holds a number of more than 64 bits; "
                f"allowed are indices from 0 to {vocabulary_size - 1} and finite weights"
            ) from None
        outside = (terms < 0) | (terms >= vocabulary_size)
        if outside.any():
            raise InputError(
                f"sparse index {terms[outside][0]} is outside the vocabulary; "
                f"allowed are 0 to {vocabulary_size - 1}"
            )
        illegal = ~np.isfinite(weights) | (weights < 0)
        if illegal.any():
            raise InputError(
                f"sparse weight {values[int(np.flatnonzero(illegal)[0])]} is not allowed; "
                "weights are finite and not negative"
            )
        order = np.argsort(terms, kind="stable")
        terms, weights = terms[order], weights[order]
        repeated = np.flatnonzero(np.diff(terms) == 0)
        if repeated.size:
            raise InputError(
                f"sparse index {terms[repeated[0]]} is given more than once; give each index once"
            )
        kept = weights > 0
        return cls(terms[kept].astype(np.int32), weights[kept])

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True, slots=True, eq=False)
class SparseBatch:
    """Term weights of ``n`` texts in compressed sparse rows.

    ``indptr`` int64 (n + 1,), ``indices`` int32 (nnz,) strictly ascending within a row,
    ``values`` float32 (nnz,); every index is in ``[0, vocabulary_size)``. The last ids of the
    vocabulary stand for ``words``, in their order: terms of an open vocabulary, numbered in this
    batch alone.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]
    vocabulary_size: int
    words: tuple[str, ...] = ()

    @classmethod
    def from_rows(
        cls, rows: Iterable[SparseVector], vocabulary_size: int, words: tuple[str, ...] = ()
    ) -> Self:
        """Stack vectors, in their order."""
        rows = list(rows)
        if len(rows) == 1:
            (row,) = rows
            indptr = np.array([0, len(row)], dtype=np.int64)
            return cls(indptr, row.indices, row.values, vocabulary_size, words)
        indptr = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=indptr[1:])
        return cls(
            indptr,
            np.concatenate([np.empty(0, np.int32), *(row.indices for row in rows)]),
            np.concatenate([np.empty(0, np.float32), *(row.values for row in rows)]),
            vocabulary_size,
            words,
        )

    @classmethod
    def concatenate(cls, batches: Sequence[SparseBatch], vocabulary_size: int) -> Self:
        """Stack batches over one vocabulary, in their order.

        Where it is open, ``vocabulary_size`` is the size of its closed part, and the words of all
        batches are numbered anew.
        """
        numbers: dict[str, int] = {}
        if any(batch.words for batch in batches):
            for batch in batches:
                for word in batch.words:
                    numbers.setdefault(word, vocabulary_size + len(numbers))
            vocabulary_size += len(numbers)
            batches = [
                batch.numbered([numbers[word] for word in batch.words], vocabulary_size)
                for batch in batches
            ]
        lengths = [np.diff(batch.indptr) for batch in batches]
        indptr = np.concatenate(
            [np.zeros(1, np.int64), np.cumsum(np.concatenate([np.empty(0, np.int64), *lengths]))]
        )
        return cls(
            indptr.astype(np.int64),
            np.concatenate([np.empty(0, np.int32), *(batch.indices for batch in batches)]),
            np.concatenate([np.empty(0, np.float32), *(batch.values for batch in batches)]),
            vocabulary_size,
            tuple(numbers),
        )

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, row: int) -> SparseVector:
        start, end = self.indptr[row], self.indptr[row + 1]
        return SparseVector(self.indices[start:end], self.values[start:end])

    def __iter__(self) -> Iterator[SparseVector]:
        return (self[row] for row in range(len(self)))

    @property
    def nnz(self) -> int:
        """Number of stored weights over all rows."""
        return len(self.indices)

    @property
    def closed_size(self) -> int:
        """The first id that stands for a word; the size of the vocabulary where there are none."""
        return self.vocabulary_size - len(self.words)

    def numbered(self, numbers: Sequence[int], vocabulary_size: int) -> SparseBatch:
        """The same weights with the id ``numbers[i]`` for word i, over a vocabulary of that size.

        ``numbers`` are distinct and not those of other terms.
        """
        ids = np.concatenate([np.arange(self.closed_size), np.asarray(numbers, dtype=np.int64)])
        indices = ids[self.indices]
        rows = np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.indptr))
        order = np.lexsort((indices, rows))
        return SparseBatch(
            self.indptr, indices[order].astype(np.int32), self.values[order], vocabulary_size
        )

    def document_frequency(self) -> NDArray[np.int64]:
        """Number of rows that hold each term, int64 (vocabulary_size,)."""
        return np.bincount(self.indices, minlength=self.vocabulary_size).astype(np.int64)

    def to_scipy(self) -> scipy.sparse.csr_array:
        """The same numbers as a SciPy CSR array of shape (n, vocabulary_size)."""
        return scipy.sparse.csr_array(
            (self.values, self.indices, self.indptr), shape=(len(self), self.vocabulary_size)
        )

    def head(self, rows: int) -> SparseBatch:
        """The first rows."""
        end = self.indptr[min(rows, len(self))]
        return SparseBatch(
            self.indptr[: rows + 1],
            self.indices[:end],
            self.values[:end],
            self.vocabulary_size,
            self.words,
        )

    def select(self, kept: NDArray[np.bool_]) -> SparseBatch:
        """The rows where ``kept``, bool (n,), is true."""
        lengths = np.diff(self.indptr)
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[kept])])
        entries = np.repeat(kept, lengths)
        return SparseBatch(
            indptr.astype(np.int64),
            self.indices[entries],
            self.values[entries],
            self.vocabulary_size,
            self.words,
        )

    def keep(self, kept: NDArray[np.bool_]) -> SparseBatch:
        """The stored weights where ``kept``, bool (nnz,), is true."""
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)])
        return SparseBatch(
            before[self.indptr],
            self.indices[kept],
            self.values[kept],
            self.vocabulary_size,
            self.words,
        )

    def expand(self, filled: NDArray[np.bool_]) -> SparseBatch:
        """The rows at the places where ``filled``, bool (m,), is true; empty rows elsewhere."""
        lengths = np.zeros(len(filled), dtype=np.int64)
        lengths[filled] = np.diff(self.indptr)
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return SparseBatch(indptr, self.indices, self.values, self.vocabulary_size, self.words)

    def reorder(self, order: NDArray[np.int64]) -> SparseBatch:
        """The rows ``order``, in that order; a row may come more than once."""
        lengths = np.diff(self.indptr)[order]
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        places = np.repeat(self.indptr[:-1][order] - indptr[:-1], lengths) + np.arange(indptr[-1])
        return SparseBatch(
            indptr, self.indices[places], self.values[places], self.vocabulary_size, self.words
        )
