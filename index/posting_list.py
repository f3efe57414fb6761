"""Posting lists: for each term, the documents that hold it and their weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from lsr.sparse import SparseBatch

LARGEST_WEIGHT = 65504.0


@dataclass(frozen=True, slots=True, eq=False)
class PostingLists:
    """Term t's postings are places ``offsets[t]`` to ``offsets[t + 1]``.

    ``offsets`` int64 (vocabulary_size + 1,); ``documents`` uint32 (postings,), ascending within a
    list; ``weights`` float16 (postings,), finite and above 0.
    """

    offsets: NDArray[np.int64]
    documents: NDArray[np.uint32]
    weights: NDArray[np.float16]
    document_count: int

    @classmethod
    def invert(cls, batch: SparseBatch) -> PostingLists:
        """Posting lists of a batch of document vectors; row numbers become document ordinals.

        A weight that float16 rounds to 0 has no posting.
        """
        columns = batch.to_scipy().tocsc()
        weights = half(columns.data)
        kept = weights > 0
        before = np.concatenate([[0], np.cumsum(kept)])
        return cls(
            before[columns.indptr].astype(np.int64),
            columns.indices[kept].astype(np.uint32),
            weights[kept],
            len(batch),
        )

    def to_batch(self) -> SparseBatch:
        """The document vectors that these lists hold, row by row."""
        size = len(self.offsets) - 1
        rows = scipy.sparse.csc_array(
            (self.weights.astype(np.float32), self.documents.astype(np.int64), self.offsets),
            shape=(self.document_count, size),
        ).tocsr()
        return SparseBatch(
            rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data, size
        )

    def document_frequency(self) -> NDArray[np.int64]:
        """Length of each term's list, int64 (vocabulary_size,)."""
        return np.diff(self.offsets)


def half(weights: NDArray[np.float32]) -> NDArray[np.float16]:
    """Weights as they are stored: rounded to float16, cut at its largest number."""
    return np.minimum(weights, LARGEST_WEIGHT).astype(np.float16)
