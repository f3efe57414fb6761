"""The native engine: the C++ core over inverted indexes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index import _core
from index.engines.document_mask import DocumentMask
from index.engines.inverted_index import InvertedIndex, malformed
from index.engines.searcher import EXACT, Pruning, TopK
from lsr.sparse import SparseBatch
from lsr.threads import available_cores

STRATEGIES = ("nothing to search", "exhaustive", "block pruning", "block pruning + exhaustive")


def search_together(
    indexes: Sequence[_core.BlockIndex],
    numbers: Sequence[NDArray[np.int64] | None],
    alive: Sequence[DocumentMask | None],
    queries: SparseBatch,
    k: int,
    pruning: Pruning = EXACT,
    floor: NDArray[np.float32] | None = None,
    threads: int | None = None,
    kernels: str = "",
    choice: int = 0,
) -> TopK:
    """One ranking of the documents of several indexes, which share the score to beat.

    The parts of highest bounds are searched first, whatever their order; the time of ``pruning`` is
    for all of them.

    Args:
        indexes: what to search, as ``InvertedIndex.core``.
        numbers: of each index, what its documents are called in the ranking, by ordinal, ascending
            from index to index; None: they are numbered through.
        alive: of each index, the documents that may be returned; None: all.
        queries: see ``Searcher.search``, as for what follows.
        k: results wanted.
        pruning: what may be left out.
        floor: scores that documents may be left out below.
        threads: see ``NativeSearcher``, as for what follows.
        kernels: a name, or "".
        choice: place of a strategy in ``STRATEGIES``; 0: the faster.

    Raises:
        CorruptionError: a list of one of the indexes is malformed.
    """
    try:
        documents, scores, unseen, strategies = _core.search(
            list(indexes),
            [_mask(index, mask) for index, mask in zip(indexes, alive, strict=True)],
            list(numbers),
            queries.indptr,
            queries.indices,
            queries.values,
            k,
            floor,
            pruning.factor,
            pruning.budget_us,
            threads or available_cores(),
            kernels,
            choice,
        )
    except ValueError as error:
        raise malformed(error, indexes) from error
    return TopK(documents, scores, unseen, tuple(STRATEGIES[each] for each in strategies.tolist()))


def _mask(index: _core.BlockIndex, alive: DocumentMask | None) -> NDArray[np.uint16] | None:
    return None if alive is None else alive.prepared(index, index.mask)


class NativeSearcher:
    """Block pruning, or exhaustive scoring where that is faster, without the interpreter lock.

    Args:
        index: what to search.
        threads: at most so many search the queries of one call at once; None: one for each
            core.
        kernels: "scalar", "avx2", or "" for the fastest that the machine has.
        strategy: one of the first three ``STRATEGIES`` to take wherever it can give the answer;
            None: the faster.
    """

    def __init__(
        self,
        index: InvertedIndex,
        threads: int | None = None,
        kernels: str = "",
        strategy: str | None = None,
    ) -> None:
        self._index = index.core
        self._threads = threads
        self._kernels = kernels
        self._choice = 0 if strategy is None else STRATEGIES.index(strategy)

    def search(
        self,
        queries: SparseBatch,
        k: int,
        alive: DocumentMask | None = None,
        pruning: Pruning = EXACT,
        floor: NDArray[np.float32] | None = None,
    ) -> TopK:
        """See ``Searcher.search``."""
        return search_together(
            (self._index,),
            (None,),
            (alive,),
            queries,
            k,
            pruning,
            floor,
            self._threads,
            self._kernels,
            self._choice,
        )
