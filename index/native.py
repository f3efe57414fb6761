"""The native engine: the C++ core over memory-mapped posting lists."""

from __future__ import annotations

import numpy as np

from index._core import ExhaustiveIndex
from index.document_mask import DocumentMask
from index.posting_list import PostingLists
from index.searcher import EXACT, Pruning, TopK
from lsr.sparse import SparseBatch


class NativeSearcher:
    """Windowed term-at-a-time scoring without the interpreter lock."""

    def __init__(self, lists: PostingLists) -> None:
        self._index = ExhaustiveIndex(
            lists.offsets, lists.documents, lists.weights.view(np.uint16), lists.document_count
        )

    def search(
        self,
        queries: SparseBatch,
        k: int,
        alive: DocumentMask | None = None,
        pruning: Pruning = EXACT,
    ) -> TopK:
        """See ``Searcher.search``."""
        allowed = None if alive is None else alive.allowed
        found = self._index.search(queries.indptr, queries.indices, queries.values, k, allowed)
        return TopK.exhaustive(*found, "exhaustive")
