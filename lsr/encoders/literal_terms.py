"""A text's own terms, weighed as BM25 weighs them, beside what a model makes of the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lsr.analysis.stop_words import STOP_WORDS
from lsr.encoders.bm25 import saturated
from lsr.encoders.term_counts import count_terms, weak_terms
from lsr.encoders.term_pooling import owners
from lsr.sparse import SparseBatch
from lsr.vocabulary import Vocabulary


@dataclass(frozen=True)
class LiteralTerms:
    """weight * tf / (tf + k1 * (1 - b + b * |d| / length)) for each term of a text.

    A language model that pools by maximum sees no term frequency and no length, and rare words
    that it has not learned get no weight from it. BM25's part of the score (Robertson and Zaragoza
    2009), added to the model's weights, leaves to the model what BM25 misses, as in
    CLEAR (Gao et al. 2021, "Complement Lexical Retrieval Model with Semantic Residual Embeddings").
    IDF is the query's part. Stop words and punctuation get nothing and do not count for |d|.
    """

    # Of which the text's terms are.
    vocabulary: Vocabulary
    # The largest that a term can come near.
    weight: float
    # Mean |d| of the training documents, so that weights do not depend on the collection.
    length: float
    # k1 saturates term frequency, b normalises by length, as in Bm25Config.
    k1: float = 0.9
    b: float = 0.4

    def __call__(self, texts: Sequence[str]) -> SparseBatch:
        """One row a text; texts are not truncated."""
        return self.of_counts(count_terms(self.vocabulary, texts))

    def of_counts(self, counts: SparseBatch) -> SparseBatch:
        """The same of texts whose terms ``count_terms`` has counted."""
        counts = counts.keep(~self._weak[counts.indices])
        lengths = np.bincount(owners(counts), weights=counts.values, minlength=len(counts)).astype(
            np.float64
        )
        by_length = self.b * lengths / self.length
        return saturated(counts, by_length, self.k1, self.b, self.weight)

    @cached_property
    def _weak(self) -> NDArray[np.bool_]:
        return weak_terms(self.vocabulary, STOP_WORDS)
