"""How often words occur in texts, over a vocabulary that is open: each batch brings its words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lsr.analysis.analyzer import Analyzer
from lsr.encoders.term_pooling import owners, pool_terms
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics


def count_words(texts: Iterable[Sequence[str]], closed: Sequence[str] = ()) -> SparseBatch:
    """How often each term occurs in each text.

    Args:
        texts: the terms of each.
        closed: the terms of the ids from 0 on; all others are words of the batch.
    """
    ids = {term: number for number, term in enumerate(closed)}
    found: list[int] = []
    lengths: list[int] = []
    for terms in texts:
        found += [ids.setdefault(term, len(ids)) for term in terms]
        lengths.append(len(terms))
    rows = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
    once = np.ones(len(found), dtype=np.float32)
    # Without words the size is at least 1, as a key of each row.
    shape = len(lengths), max(1, len(ids))
    counts = pool_terms(rows, np.array(found, dtype=np.int64), once, shape, "sum")
    words = tuple(ids)[len(closed) :]
    return SparseBatch(counts.indptr, counts.indices, counts.values, len(ids), words)


def known_words(
    counts: SparseBatch, numbers: Callable[[Iterable[str]], Mapping[str, int]]
) -> SparseBatch:
    """The counts over the vocabulary of a collection, without the words that it doesn't have.

    Args:
        counts: of ``count_words``.
        numbers: the term ids of those words that the collection has.
    """
    having = numbers(counts.words)
    ids = np.array([having.get(word, -1) for word in counts.words], dtype=np.int64)
    places = counts.indices.astype(np.int64) - counts.closed_size
    known = np.ones(counts.nnz, dtype=np.bool_)
    known[places >= 0] = ids[places[places >= 0]] >= 0
    size = max([counts.closed_size, *(number + 1 for number in having.values())])
    return counts.keep(known).numbered(ids.tolist(), size)


def lengths_of(counts: SparseBatch, counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sum of the counts of each row where ``counted``, bool (nnz,), is true; float64 (n,)."""
    weights = np.where(counted, counts.values.astype(np.float64), 0.0)
    lengths: NDArray[np.float64] = np.bincount(
        owners(counts), weights=weights, minlength=len(counts)
    ).astype(np.float64)
    return lengths


def numbers_of(batch: SparseBatch) -> Callable[[Iterable[str]], Mapping[str, int]]:
    """The ids of the words of a batch."""
    ids = {word: batch.closed_size + place for place, word in enumerate(batch.words)}
    return lambda words: {word: ids[word] for word in words if word in ids}


def unknown_words(
    analyzer: Analyzer, text: str, statistics: CollectionStatistics, mark: str = ""
) -> list[str]:
    """The words of a text, as it spells them, that no document has; each once, no stop words."""
    found = [each for each in analyzer.analyzed(text) if each.text not in analyzer.stop_words]
    having = statistics.numbers(list({mark + each.text for each in found}))
    frequency = statistics.document_frequency
    known = {word for word, term in having.items() if term < len(frequency) and frequency[term] > 0}
    missing = (text[each.start : each.end] for each in found if mark + each.text not in known)
    return list(dict.fromkeys(missing))
