"""BM25 over word pieces, as impacts: the lexical encoder, which needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.encoder import SparseEncoder, canonical_name, fingerprint
from lsr.encoders.term_counts import STOP_WORDS, count_terms, weak_terms
from lsr.encoders.term_pooling import owners
from lsr.errors import UsageError
from lsr.sparse import SparseBatch, SparseVector
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Bm25Config:
    """BM25's parameters, by default Anserini's."""

    # Saturates term frequency; 0 or more.
    k1: float = 0.9
    # Normalises by length, 0 (not at all) to 1.
    b: float = 0.4
    # Terms that count only where a query has no others: "english" or "none".
    stopwords: str = "english"

    def __post_init__(self) -> None:
        if not (self.k1 >= 0 and np.isfinite(self.k1)):
            raise UsageError(f"k1 is {self.k1}; allowed is 0 or more")
        if not 0 <= self.b <= 1:
            raise UsageError(f"b is {self.b}; allowed is 0 to 1")
        if self.stopwords not in ("english", "none"):
            raise UsageError(f"stopwords is {self.stopwords!r}; allowed are english and none")


def saturated(
    counts: SparseBatch, by_length: NDArray[np.float64], k1: float, b: float, weight: float = 1.0
) -> SparseBatch:
    """weight * tf / (tf + k1 * (1 - b + b * |d| / avgdl)) of each count.

    ``by_length`` float64 (n,) is b * |d| / avgdl of each row.
    """
    tf = counts.values.astype(np.float64)
    norms = k1 * (1 - b + by_length)
    weights = (weight * tf / (tf + norms[owners(counts)])).astype(np.float32)
    return SparseBatch(counts.indptr, counts.indices, weights, counts.vocabulary_size)


class Bm25Encoder(SparseEncoder):
    """Robertson and Zaragoza (2009), eq. 3.15, in Lucene's form without the factor (k1 + 1).

    score(q, d) = sum over t of qtf(t) * idf(t) * tf / (tf + k1 * (1 - b + b * |d| / avgdl)).
    Documents are stored as counts of all terms; ``impacts`` weighs them, queries carry the IDF.
    Punctuation and stop words do not count for |d|, and a query uses them only if it has nothing
    else, so "to be or not to be" still finds something.
    """

    stores_counts = True
    needs_statistics = True
    uses_statistics = True

    def __init__(
        self, config: Bm25Config | None = None, checkpoint: Checkpoint | None = None
    ) -> None:
        self.config = config or Bm25Config()
        self.vocabulary = checkpoint.vocabulary if checkpoint else Vocabulary.bert_uncased()
        self.name = canonical_name("bm25", checkpoint, self.config)
        tokenization = checkpoint.tokenization if checkpoint else ""
        changed = {"tokenizer": tokenization} if tokenization else {}
        self.fingerprint = fingerprint(
            "bm25", vocabulary=self.vocabulary.digest, config=asdict(self.config), **changed
        )
        self._tokens = 0
        self._weak = weak_terms(
            self.vocabulary, STOP_WORDS if self.config.stopwords == "english" else frozenset()
        )

    @property
    def tokens_encoded(self) -> int:
        """Tokens of the documents that were encoded so far."""
        return self._tokens

    def encode_documents(self, texts: Sequence[str]) -> SparseBatch:
        """Term counts of each text."""
        counts = self._count(texts)
        self._tokens += int(counts.values.sum(dtype=np.float64))
        return counts

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        """Count times IDF of each term of each text that is no stop word and no punctuation."""
        if statistics is None:
            raise UsageError("BM25 queries need the statistics of a collection")
        rows = []
        for row in self._count(texts):
            strong = ~self._weak[row.indices]
            kept = strong if strong.any() else np.ones_like(strong)
            weights = row.values[kept] * statistics.idf[row.indices[kept]]
            rows.append(SparseVector(row.indices[kept], weights))
        return SparseBatch.from_rows(rows, self.vocabulary.size)

    def statistics(self, stored: SparseBatch) -> CollectionStatistics:
        """Statistics of stored counts, to weigh them by."""
        lengths = self._lengths(stored)
        average = float(lengths.sum() / max(len(stored), 1))
        return CollectionStatistics(len(stored), stored.document_frequency(), average)

    def impacts(self, stored: SparseBatch, statistics: CollectionStatistics | None) -> SparseBatch:
        """Each stored count, saturated."""
        if statistics is None:
            raise UsageError("BM25 impacts need the statistics of a collection")
        relative = self._lengths(stored) / (statistics.average_length or 1.0)
        return saturated(stored, self.config.b * relative, self.config.k1, self.config.b)

    def _lengths(self, stored: SparseBatch) -> NDArray[np.float64]:
        rows = owners(stored)
        counted = np.where(self._weak[stored.indices], 0.0, stored.values.astype(np.float64))
        lengths: NDArray[np.float64] = np.bincount(
            rows, weights=counted, minlength=len(stored)
        ).astype(np.float64)
        return lengths

    def _count(self, texts: Sequence[str]) -> SparseBatch:
        return count_terms(self.vocabulary, texts)
