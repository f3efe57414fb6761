"""Many weights of a term in a text made one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lsr.sparse import SparseBatch

POOLS = ("max", "sum", "first")


def pool_terms(
    rows: NDArray[np.int64],
    terms: NDArray[np.int64],
    weights: NDArray[np.float32],
    shape: tuple[int, int],
    how: str = "max",
) -> SparseBatch:
    """One weight of each term in each text, where it is positive.

    Args:
        rows: int64 (n,), the text of each weight.
        terms: int64 (n,), its term.
        weights: float32 (n,).
        shape: number of texts, and size of the vocabulary.
        how: ``max``, ``sum``, or ``first`` for the weight that comes first in its text.
    """
    texts, size = shape
    keys = rows * np.int64(size) + terms
    order = np.argsort(keys, kind="stable")
    unique, starts = np.unique(keys[order], return_index=True)
    pooled = weights[order]
    if len(unique):
        if how == "max":
            pooled = np.maximum.reduceat(pooled, starts)
        elif how == "sum":
            pooled = np.add.reduceat(pooled, starts)
        else:
            pooled = pooled[starts]
    positive = pooled > 0
    unique, pooled = unique[positive], pooled[positive]
    indptr = np.searchsorted(unique, np.arange(texts + 1, dtype=np.int64) * size)
    return SparseBatch(
        indptr.astype(np.int64),
        (unique % size).astype(np.int32),
        pooled.astype(np.float32, copy=False),
        size,
    )


def summed(first: SparseBatch, second: SparseBatch) -> SparseBatch:
    """The weights of the same texts over one vocabulary added up, term by term."""
    return pool_terms(
        np.concatenate([owners(first), owners(second)]),
        np.concatenate([first.indices, second.indices]).astype(np.int64),
        np.concatenate([first.values, second.values]),
        (len(first), first.vocabulary_size),
        "sum",
    )


def in_quadrature(first: SparseBatch, second: SparseBatch) -> SparseBatch:
    """The root of the sum of their squares, term by term."""
    squares = (replace(each, values=np.square(each.values)) for each in (first, second))
    joined = summed(*squares)
    return replace(joined, values=np.sqrt(joined.values))


def owners(batch: SparseBatch) -> NDArray[np.int64]:
    """The row of each stored weight, int64 (nnz,)."""
    return np.repeat(np.arange(len(batch), dtype=np.int64), np.diff(batch.indptr))
