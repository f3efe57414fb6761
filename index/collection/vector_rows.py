"""Vectors as the rows of the store have them: bytes of terms (None in a dense field) and weights.

Sparse ones are packed (index/core/packed_rows.hpp), weights as float16; dense ones are float32.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from index._core import pack_rows, unpack_rows
from index.engines.posting_list import half
from lsr.sparse import SparseBatch, SparseVector

# Sequence number, terms and weights.
Row = tuple[int, bytes | None, bytes]


def sparse_rows(sequence: Iterable[int], batch: SparseBatch) -> Iterator[Row]:
    """The rows of a batch, one for each sequence number.

    Raises:
        ValueError: a row's terms are negative or not strictly ascending.
    """
    weights = half(batch.values).view(np.uint16)
    terms, term_starts, packed, starts = pack_rows(batch.indptr, batch.indices, weights)
    parts = zip(_cut(terms, term_starts), _cut(packed, starts), strict=True)
    for number, (row, row_weights) in zip(sequence, parts, strict=True):
        yield number, row, row_weights


def dense_rows(sequence: Iterable[int], vectors: NDArray[np.float32]) -> Iterator[Row]:
    """The rows of vectors float32 (n, dimension), one for each sequence number."""
    for number, row in zip(sequence, vectors, strict=True):
        yield number, None, row.tobytes()


class SparseRows:
    """Gathers the bytes of rows, which are then unpacked all at once."""

    def __init__(self) -> None:
        self._terms, self._term_starts = bytearray(), array("q", [0])
        self._weights, self._starts = bytearray(), array("q", [0])

    def append(self, terms: bytes | None, weights: bytes) -> None:
        """Add a row."""
        self._terms += terms or b""
        self._weights += weights
        self._term_starts.append(len(self._terms))
        self._starts.append(len(self._weights))

    def unpack(self, vocabulary_size: int) -> SparseBatch:
        """All rows in their order, none of which is kept; indices may be of any term.

        Raises:
            ValueError: a row is malformed.
        """
        indptr, terms, weights = unpack_rows(
            np.frombuffer(self._terms, dtype=np.uint8),
            np.array(self._term_starts, dtype=np.int64),
            np.frombuffer(self._weights, dtype=np.uint8),
            np.array(self._starts, dtype=np.int64),
        )
        self._terms, self._weights = bytearray(), bytearray()
        values = weights.view(np.float16).astype(np.float32)
        return SparseBatch(indptr, terms, values, vocabulary_size)


def sparse_vector(terms: bytes | None, weights: bytes) -> SparseVector | None:
    """The vector of one row; None where it is malformed."""
    rows = SparseRows()
    rows.append(terms, weights)
    try:
        return rows.unpack(0)[0]
    except ValueError:
        return None


def _cut(content: NDArray[np.uint8], starts: NDArray[np.int64]) -> Iterator[bytes]:
    whole, places = content.tobytes(), starts.tolist()
    for begin, end in pairwise(places):
        yield whole[begin:end]
