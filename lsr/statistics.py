"""Term statistics of a collection, as BM25 and IDF tables need them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


def no_words(words: Iterable[str]) -> Mapping[str, int]:
    """The ids of words where the vocabulary has no open part: none."""
    return {}


@dataclass(frozen=True, eq=False)
class CollectionStatistics:
    """Counts over the documents of a collection.

    ``documents`` number of documents; ``document_frequency`` int64 (V,), the number of documents
    that hold each term; ``average_length`` mean length of a document as
    BM25 counts it. ``numbers`` gives the term ids of those words that an open vocabulary has.
    ``closed`` are those of the terms of its closed part, where they are counted apart from words.
    """

    documents: int
    document_frequency: NDArray[np.int64]
    average_length: float
    numbers: Callable[[Iterable[str]], Mapping[str, int]] = no_words
    closed: CollectionStatistics | None = None

    @cached_property
    def idf(self) -> NDArray[np.float32]:
        """ln(1 + (N - df + 0.5) / (df + 0.5)) of each term, float32 (V,).

        The form of Lucene's BM25 and of the IDF tables of OpenSearch's inference-free encoders.
        """
        return self.idf_of(np.arange(len(self.document_frequency)))

    def idf_of(self, terms: NDArray[np.integer]) -> NDArray[np.float32]:
        """``idf`` of these terms; one that was never counted is in no document."""
        df = self.frequency_of(terms)
        return np.log1p((self.documents - df + 0.5) / (df + 0.5)).astype(np.float32)

    def frequency_of(self, terms: NDArray[np.integer]) -> NDArray[np.float64]:
        """In how many documents each of these terms is; float64 (len(terms),)."""
        counted = terms < len(self.document_frequency)
        frequency = np.zeros(len(terms), dtype=np.float64)
        frequency[counted] = self.document_frequency[terms[counted]]
        return frequency
