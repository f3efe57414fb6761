"""From a ranking of passages to one of documents: a document's score is its best passage's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from index.engines.searcher import TopK

# Passages that are fetched at first for each document wanted, and how many times more each time
# that these were of too few documents.
AT_FIRST = 2
MORE = 4


def best_passages(
    search: Callable[[int], TopK], rows: int, split: bool, k: int, once: bool = False
) -> TopK:
    """The top k documents, by the number of each, with the best passage of each.

    The ranking is that of all passages without those of a document that came before, so it is
    exact where theirs is. Of passages that score alike, the first in the document is the best.

    Args:
        search: the top rows, so many, by the numbers of their documents and of the passages.
        rows: how many there are.
        split: whether any document has more than one.
        k: documents wanted.
        once: don't search again where the passages are of fewer documents; how much those that
            were not fetched could score is ``unseen`` then.
    """
    if not split:
        return search(k)
    wanted = min(rows, AT_FIRST * k)
    while True:
        found = search(wanted)
        first = _first_of_documents(found.documents)
        # More passages may follow where all that were asked for were found.
        cut = (found.documents >= 0).sum(axis=1) >= wanted
        short = cut & (first.sum(axis=1) < k) & (wanted < rows)
        if once or not short.any():
            return _kept(found, first, k, short)
        wanted = min(rows, MORE * wanted)


def _first_of_documents(documents: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool (n_queries, n): the results that are of a document which none before was of."""
    first = np.zeros(documents.shape, dtype=np.bool_)
    for row, found in zip(first, documents.tolist(), strict=True):
        # From the last to the first, so that the first place of a document stays.
        places = dict(zip(reversed(found), range(len(found) - 1, -1, -1), strict=True))
        row[list(places.values())] = True
    return first & (documents >= 0)


def _kept(found: TopK, first: NDArray[np.bool_], k: int, short: NDArray[np.bool_]) -> TopK:
    """The first k of the results that ``first`` names, in their order."""
    order = np.argsort(~first, axis=1, kind="stable")[:, :k]
    kept = np.arange(len(order))[:, np.newaxis], order
    there = first[kept]
    passages = np.zeros_like(found.documents) if found.passages is None else found.passages
    last = np.where(short, found.scores[:, -1], np.float32(0)) if found.scores.size else 0
    return found._replace(
        documents=np.where(there, found.documents[kept], -1),
        scores=np.where(there, found.scores[kept], np.float32(0)),
        passages=np.where(there, passages[kept], 0),
        unseen=np.maximum(found.unseen, last),
    )
