"""What every engine does, and the order in which all of them rank.

Documents of a segment have ordinals 0, 1, 2, ... in the order in which they were written. The
order of a ranking is: score descending, then ordinal ascending.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from index.posting_list import PostingLists
from lsr.errors import UsageError
from lsr.sparse import SparseBatch


class TopK(NamedTuple):
    """Rankings of several queries.

    ``documents`` int64 (n_queries, k), -1 where a ranking is shorter; ``scores`` float32, same
    shape, 0 there.
    """

    documents: NDArray[np.int64]
    scores: NDArray[np.float32]

    def ranking(self, query: int) -> list[tuple[int, float]]:
        """Document and score of each result of one query, best first."""
        found = self.documents[query] >= 0
        return list(
            zip(
                self.documents[query][found].tolist(),
                self.scores[query][found].tolist(),
                strict=True,
            )
        )


class Searcher(Protocol):
    """Exact top-k inner product over the posting lists of one field of one segment."""

    def search(self, queries: SparseBatch, k: int, alive: NDArray[np.uint8] | None = None) -> TopK:
        """The documents of highest score above 0.

        A score is the float32 sum, in ascending term order, of float32 products of query weight
        and float16 document weight, so all engines agree to the bit. ``alive`` uint8
        (n_documents,) is non-zero for documents that may be returned; None means all.
        """
        ...


def select(scores: NDArray[np.float32], documents: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Places of the k best of ``documents``, in ranking order."""
    return np.lexsort((documents, -scores))[:k]


def merge(parts: Sequence[TopK], k: int) -> TopK:
    """One ranking of at most k from rankings over disjoint documents, for each query."""
    documents = np.concatenate([part.documents for part in parts], axis=1)
    scores = np.concatenate([part.scores for part in parts], axis=1)
    keys = np.where(documents >= 0, scores, -np.inf)
    order = np.lexsort((documents, -keys), axis=1)[:, :k]
    return TopK(
        np.take_along_axis(documents, order, axis=1), np.take_along_axis(scores, order, axis=1)
    )


def _native() -> Callable[[PostingLists], Searcher]:
    from index.native import NativeSearcher

    return NativeSearcher


def _reference() -> Callable[[PostingLists], Searcher]:
    from index.reference import ReferenceSearcher

    return ReferenceSearcher


ENGINES: dict[str, Callable[[], Callable[[PostingLists], Searcher]]] = {
    "native": _native,
    "reference": _reference,
}


def open_searcher(engine: str, lists: PostingLists) -> Searcher:
    """The engine of that name over posting lists.

    Raises:
        UsageError: there is no such engine.
    """
    return ENGINES[check_engine(engine)]()(lists)


def check_engine(engine: str) -> str:
    """The name itself; raises UsageError if no engine has it."""
    if engine not in ENGINES:
        raise UsageError(f"there is no engine {engine!r}; allowed are {', '.join(ENGINES)}")
    return engine
