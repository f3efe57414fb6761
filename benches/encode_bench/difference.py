"""How far the vectors of two encoders are apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse

from lsr.sparse import SparseBatch


@dataclass(frozen=True)
class Difference:
    """``largest``: of all weights, where a term that a text doesn't have weighs 0.

    ``only_here`` and ``only_there`` count the terms that a text has in one of the two, and
    ``largest_alone`` is the largest weight of such a term.
    """

    largest: float
    only_here: int
    only_there: int
    largest_alone: float

    @classmethod
    def between(cls, here: SparseBatch, there: SparseBatch) -> Difference:
        """Of vectors of the same texts."""
        if len(here) != len(there):
            raise ValueError(f"{len(here)} vectors are compared with {len(there)}")
        width = max(here.vocabulary_size, there.vocabulary_size)
        ours, theirs = _matrix(here, width), _matrix(there, width)
        alone = [_without(ours, theirs), _without(theirs, ours)]
        return cls(
            _largest(ours - theirs), alone[0].nnz, alone[1].nnz, max(_largest(a) for a in alone)
        )


def _matrix(batch: SparseBatch, width: int) -> scipy.sparse.csr_array:
    parts = (batch.values.astype(np.float64), batch.indices, batch.indptr)
    matrix = scipy.sparse.csr_array(parts, shape=(len(batch), width), copy=True)
    matrix.eliminate_zeros()
    return matrix


def _without(
    matrix: scipy.sparse.csr_array, other: scipy.sparse.csr_array
) -> scipy.sparse.csr_array:
    """The entries where the other has none."""
    rest = matrix - matrix.multiply(other != 0)
    rest.eliminate_zeros()
    return rest


def _largest(matrix: scipy.sparse.csr_array) -> float:
    return float(np.abs(matrix.data).max(initial=0.0))
