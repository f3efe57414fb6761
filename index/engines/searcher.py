"""What every engine does, and the order in which all of them rank.

Documents of a segment have ordinals 0, 1, 2, ... in the order in which they were written. The
order of a ranking is: score descending, then ordinal ascending.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from index.engines.document_mask import DocumentMask
from lsr.errors import InputError
from lsr.sparse import SparseBatch


@dataclass(frozen=True, slots=True)
class Pruning:
    """What a search may leave out. The default leaves out nothing that could change the answer.

    ``factor`` in (0, 1]: blocks of documents are skipped when this share of their bound is not
    above the score to beat. ``budget_us``: microseconds a query may take in each segment (0: any
    time).
    """

    factor: float = 1.0
    budget_us: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.factor <= 1:
            raise InputError(f"factor is {self.factor}; allowed is above 0, and at most 1")
        if self.budget_us < 0:
            raise InputError(f"budget_us is {self.budget_us}; allowed is 0 (no limit) or more")


EXACT = Pruning()


class TopK(NamedTuple):
    """Rankings of several queries.

    ``documents`` int64 (n_queries, k), -1 where a ranking is shorter; ``scores`` float32, same
    shape, 0 there. ``unseen`` float32 (n_queries,): no document that pruning left out, and that
    exact search might have returned, scores higher; 0 where there is none. ``strategies`` says for
    each query how it was searched. ``passages`` int64, same shape, has the place of each result's
    passage in its document, from 0 on; None: no document is split.
    """

    documents: NDArray[np.int64]
    scores: NDArray[np.float32]
    unseen: NDArray[np.float32]
    strategies: tuple[str, ...]
    passages: NDArray[np.int64] | None = None

    @classmethod
    def exhaustive(
        cls, documents: NDArray[np.int64], scores: NDArray[np.float32], strategy: str
    ) -> TopK:
        """Rankings that left nothing out."""
        queries = len(documents)
        return cls(documents, scores, np.zeros(queries, np.float32), (strategy,) * queries)

    def cut(self, k: int) -> TopK:
        """The first k results of each query."""
        passages = None if self.passages is None else self.passages[:, :k]
        cut = self._replace(documents=self.documents[:, :k], scores=self.scores[:, :k])
        return cut._replace(passages=passages)

    def bound_gap(self, k: int) -> NDArray[np.float32]:
        """How far an unseen document could be above the k-th result; 0: none is.

        float32 (n_queries,). A ranking of fewer than k results could be entered with any score.
        """
        gap: NDArray[np.float32] = np.maximum(self.unseen - self._last(k), np.float32(0))
        return np.where(self.unseen > 0, gap, np.float32(0))

    def exact(self, k: int) -> NDArray[np.bool_]:
        """Whether the first k are those of exact search: no unseen document could even tie.

        bool (n_queries,).
        """
        certain: NDArray[np.bool_] = (self.unseen <= 0) | (self.unseen < self._last(k))
        return certain

    def is_complete(self, query: int, k: int) -> bool:
        """Whether the first k results of one query are all that exact search finds at any depth."""
        found = int(np.count_nonzero(self.documents[query] >= 0))
        return found < k and bool(self.unseen[query] <= 0)

    def _last(self, k: int) -> NDArray[np.float32]:
        """Score of the k-th result; 0 where there are fewer."""
        if not 0 < k <= self.scores.shape[1]:
            return np.zeros(len(self.scores), np.float32)
        return self.scores[:, k - 1]

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

    def passages_of(self, query: int, wanted: Sequence[int] | None = None) -> dict[int, int]:
        """The passages of those wanted documents that one query found; None: of all it found.

        Empty where none is split.
        """
        if self.passages is None:
            return {}
        pairs = zip(self.documents[query].tolist(), self.passages[query].tolist(), strict=True)
        found = {document: passage for document, passage in pairs if document >= 0}
        if wanted is None:
            return found
        return {document: found[document] for document in wanted if document in found}


class Searcher(Protocol):
    """Top-k inner product over one sparse field of one segment."""

    def search(
        self,
        queries: SparseBatch,
        k: int,
        alive: DocumentMask | None = None,
        pruning: Pruning = EXACT,
        floor: NDArray[np.float32] | None = None,
    ) -> TopK:
        """The documents of highest score above 0.

        A score is the float32 sum, in ascending term order, of float32 products of query weight
        and float16 document weight, so all engines agree to the bit. ``alive`` names the documents
        that may be returned; None means all. An engine may leave out less than ``pruning`` allows,
        and documents that score below ``floor``, float32 (n_queries,).
        """
        ...


def select(scores: NDArray[np.float32], documents: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Places of the k best of ``documents``, in ranking order."""
    return np.lexsort((documents, -scores))[:k]


def merge(parts: Sequence[TopK], k: int) -> TopK:
    """One ranking of at most k from rankings over disjoint documents, for each query."""
    if len(parts) == 1:
        return parts[0]
    documents = np.concatenate([part.documents for part in parts], axis=1)
    scores = np.concatenate([part.scores for part in parts], axis=1)
    keys = np.where(documents >= 0, scores, -np.inf)
    order = np.lexsort((documents, -keys), axis=1)[:, :k]
    kept = np.arange(len(order))[:, np.newaxis], order
    passages = None
    if any(part.passages is not None for part in parts):
        places = [
            np.zeros_like(part.documents) if part.passages is None else part.passages
            for part in parts
        ]
        passages = np.concatenate(places, axis=1)[kept]
    return TopK(
        documents[kept],
        scores[kept],
        np.max([part.unseen for part in parts], axis=0),
        tuple(
            " + ".join(dict.fromkeys(strategies))
            for strategies in zip(*(part.strategies for part in parts), strict=True)
        ),
        passages,
    )
