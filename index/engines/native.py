"""The native engine: the C++ core over an inverted index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.engines.document_mask import DocumentMask
from index.engines.inverted_index import InvertedIndex
from index.engines.searcher import EXACT, Pruning, TopK
from lsr.sparse import SparseBatch
from lsr.threads import available_cores

STRATEGIES = ("nothing to search", "exhaustive", "block pruning")


class NativeSearcher:
    """Block pruning, or exhaustive scoring where that is faster, without the interpreter lock.

    Args:
        index: what to search.
        threads: at most so many search the queries of one call at once; None: one for each
            core.
        kernels: "scalar", "avx2", or "" for the fastest that the machine has.
        strategy: one of ``STRATEGIES`` to take wherever it can give the answer; None: the faster.
    """

    def __init__(
        self,
        index: InvertedIndex,
        threads: int | None = None,
        kernels: str = "",
        strategy: str | None = None,
    ) -> None:
        self._index = index.core
        self._threads = threads or available_cores()
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
        documents, scores, unseen, strategies = self._index.search(
            queries.indptr,
            queries.indices,
            queries.values,
            k,
            None if alive is None else alive.prepared(self._index, self._mask),
            floor,
            pruning.factor,
            pruning.budget_us,
            self._threads,
            self._kernels,
            self._choice,
        )
        return TopK(
            documents,
            scores,
            unseen,
            tuple(STRATEGIES[each] for each in strategies.tolist()),
        )

    def _mask(self, allowed: NDArray[np.uint8]) -> NDArray[np.uint16]:
        return self._index.mask(allowed)
