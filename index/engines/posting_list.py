"""Posting lists: for each term, the documents that hold it and their weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsr.sparse import LARGEST_WEIGHT

AT_ONCE = 1 << 20  # weights that are rounded together


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


def half(weights: NDArray[np.float32]) -> NDArray[np.float16]:
    """Weights as they are stored: rounded to float16, cut at its largest number."""
    stored = np.empty(weights.shape, dtype=np.float16)
    # Part by part: the weights of a segment take hundreds of megabytes.
    for start in range(0, len(weights), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        stored[part] = np.minimum(weights[part], LARGEST_WEIGHT)
    return stored
