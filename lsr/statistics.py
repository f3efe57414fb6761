"""Term statistics of a collection, as BM25 and IDF tables need them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class CollectionStatistics:
    """Counts over the documents of a collection.

    ``documents`` number of documents; ``document_frequency`` int64 (V,), the number of documents
    that hold each term; ``average_length`` mean length of a document as
    BM25 counts it.
    """

    documents: int
    document_frequency: NDArray[np.int64]
    average_length: float

    @cached_property
    def idf(self) -> NDArray[np.float32]:
        """ln(1 + (N - df + 0.5) / (df + 0.5)) of each term, float32 (V,).

        The form of Lucene's BM25 and of the IDF tables of OpenSearch's inference-free encoders.
        """
        df = self.document_frequency.astype(np.float64)
        return np.log1p((self.documents - df + 0.5) / (df + 0.5)).astype(np.float32)
