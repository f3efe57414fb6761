"""Texts encoded elsewhere: ids and sparse vectors, as benchmarks of engines share them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from eval.run import Run
from index.engines.registry import check_engine
from index.engines.searcher import TopK
from index.mining import search_all, searchers_over
from lsr.errors import InputError, UsageError
from lsr.sparse import LARGEST_WEIGHT, SparseBatch
from lsr.vectors.source import LARGEST_VOCABULARY


@dataclass(frozen=True)
class EmbeddedTexts:
    """``vectors`` has a row for each of ``ids``."""

    ids: Sequence[str]
    vectors: SparseBatch

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.vectors):
            raise InputError(
                f"there are {len(self.ids)} ids and {len(self.vectors)} vectors; give one id for "
                "each vector"
            )
        if len(set(self.ids)) != len(self.ids):
            twice, _ = Counter(self.ids).most_common(1)[0]
            raise InputError(f"the id {twice!r} stands for two vectors; ids are distinct")


@dataclass(frozen=True)
class Timed:
    """Rankings, and the wall seconds that the index and all searches took."""

    best: TopK
    index_seconds: float
    search_seconds: float

    def run(self, documents: EmbeddedTexts, queries: EmbeddedTexts) -> Run:
        """The rankings by ids."""
        return {
            query: [
                (documents.ids[row], float(score))
                for row, score in zip(rows, scores, strict=True)
                if row >= 0
            ]
            for query, rows, scores in zip(
                queries.ids, self.best.documents.tolist(), self.best.scores, strict=True
            )
        }


def csr_vectors(indptr: Any, indices: Any, data: Any, size: int | None, place: str) -> SparseBatch:
    """Vectors from the three arrays of compressed rows, which may be anyone's.

    Terms of a row may stand in any order, and weights of 0 are left out.

    Args:
        indptr: integers (rows + 1,), where each row begins.
        indices: integers (nnz,), terms from 0.
        data: numbers (nnz,), weights.
        size: terms are below this; None: the largest is the last.
        place: where the arrays come from, for messages.

    Raises:
        InputError: the arrays don't fit each other, a term is repeated within a row or out of
            range, or a weight is negative, not finite or larger than what engines hold.
    """
    starts, terms, weights = (np.asarray(array) for array in (indptr, indices, data))
    wrong = _misfit(starts, terms, weights)
    if wrong:
        raise InputError(f"{place} holds no compressed sparse rows: {wrong}")
    largest = int(terms.max(initial=-1))
    size = largest + 1 if size is None else size
    if int(terms.min(initial=0)) < 0 or largest >= size or size > LARGEST_VOCABULARY:
        raise InputError(
            f"{place} has terms from {int(terms.min(initial=0))} to {largest}; allowed are 0 to "
            f"{min(size, LARGEST_VOCABULARY) - 1}"
        )
    weights = weights.astype(np.float32)
    if not (np.isfinite(weights) & (weights >= 0) & (weights <= LARGEST_WEIGHT)).all():
        raise InputError(
            f"{place} has a weight that is negative, not finite or above {LARGEST_WEIGHT:g}; "
            "sparse engines take weights from 0"
        )
    matrix = scipy.sparse.csr_array(
        (weights, terms.astype(np.int32), starts.astype(np.int64)), shape=(len(starts) - 1, size)
    )
    matrix.sort_indices()
    owners = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    same = (np.diff(owners) == 0) & (np.diff(matrix.indices) == 0)
    if same.any():
        term = int(matrix.indices[:-1][same][0])
        raise InputError(f"{place} has the term {term} twice in one row; give each once")
    matrix.eliminate_zeros()
    return SparseBatch(
        matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data, size
    )


def _misfit(starts: Any, terms: Any, weights: Any) -> str:
    kinds = [(starts, "iu", "indptr"), (terms, "iu", "indices"), (weights, "iuf", "data")]
    for array, allowed, name in kinds:
        if array.ndim != 1 or array.dtype.kind not in allowed:
            return f"{name} is {array.dtype} of {array.ndim} dimensions"
    if len(terms) != len(weights):
        return f"there are {len(terms)} indices and {len(weights)} weights"
    ends = starts.astype(np.int64)
    if not len(ends) or ends[0] != 0 or ends[-1] != len(terms) or (np.diff(ends) < 0).any():
        return "indptr does not rise from 0 to the number of weights"
    return ""


def rank_vectors(
    documents: EmbeddedTexts,
    queries: EmbeddedTexts,
    k: int,
    engine: str = "native",
    watch: Callable[[str], AbstractContextManager[None]] = lambda step: nullcontext(),
) -> Timed:
    """The best documents of each query by inner product, as the engine of that name ranks.

    ``watch`` opens what measures the step ``index``, and then the step ``search``.

    Raises:
        UsageError: there is no such engine, or ``k`` is below 1.
    """
    check_engine(engine)
    if k < 1:
        raise UsageError(f"k is {k}; allowed is 1 or more")
    started = time.perf_counter()
    with watch("index"):
        searchers = searchers_over(documents.vectors, engine)
    built = time.perf_counter()
    with watch("search"):
        best = search_all(searchers, queries.vectors, k)
    return Timed(best, built - started, time.perf_counter() - built)
