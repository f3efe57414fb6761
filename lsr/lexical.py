"""BM25 over word pieces, as impacts: the lexical encoder, which needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from lsr.checkpoint import Checkpoint
from lsr.encoder import SparseEncoder, canonical_name, fingerprint
from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Bm25Config:
    """``k1`` saturates term frequency, ``b`` normalises by length; Anserini's defaults."""

    k1: float = 0.9
    b: float = 0.4

    def __post_init__(self) -> None:
        if not (self.k1 >= 0 and np.isfinite(self.k1)):
            raise UsageError(f"k1 is {self.k1}; allowed is 0 or more")
        if not 0 <= self.b <= 1:
            raise UsageError(f"b is {self.b}; allowed is 0 to 1")


class Bm25Encoder(SparseEncoder):
    """Robertson and Zaragoza (2009), eq. 3.15, in Lucene's form without the factor (k1 + 1).

    score(q, d) = sum over t of qtf(t) * idf(t) * tf / (tf + k1 * (1 - b + b * |d| / avgdl)).
    Documents are stored as term counts; ``impacts`` weighs them, queries carry the IDF.
    """

    stores_counts = True
    needs_statistics = True

    def __init__(
        self, config: Bm25Config | None = None, checkpoint: Checkpoint | None = None
    ) -> None:
        self.config = config or Bm25Config()
        self.vocabulary = checkpoint.vocabulary if checkpoint else Vocabulary.bert_uncased()
        self.name = canonical_name("bm25", checkpoint, self.config)
        self.fingerprint = fingerprint(
            "bm25", vocabulary=self.vocabulary.digest, config=asdict(self.config)
        )

    def encode_documents(self, texts: Sequence[str]) -> SparseBatch:
        """Term counts of each text."""
        return self._count(texts)

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        """Count times IDF of each term of each text."""
        if statistics is None:
            raise UsageError("BM25 queries need the statistics of a collection")
        counts = self._count(texts)
        weights = counts.values * statistics.idf[counts.indices]
        return SparseBatch(counts.indptr, counts.indices, weights, counts.vocabulary_size)

    def impacts(self, stored: SparseBatch, statistics: CollectionStatistics | None) -> SparseBatch:
        """tf / (tf + k1 * (1 - b + b * |d| / avgdl)) of each stored count."""
        if statistics is None:
            raise UsageError("BM25 impacts need the statistics of a collection")
        tf = stored.values.astype(np.float64)
        rows = np.repeat(np.arange(len(stored)), np.diff(stored.indptr))
        lengths = np.bincount(rows, weights=tf, minlength=len(stored))
        relative = lengths / max(statistics.average_length, np.finfo(np.float64).tiny)
        norms = self.config.k1 * (1 - self.config.b + self.config.b * relative)
        weights = (tf / (tf + norms[rows])).astype(np.float32)
        return SparseBatch(stored.indptr, stored.indices, weights, stored.vocabulary_size)

    def _count(self, texts: Sequence[str]) -> SparseBatch:
        size = self.vocabulary.size
        tokens = self.vocabulary.tokenize(texts)
        lengths = [len(terms) for terms in tokens]
        keys = np.repeat(np.arange(len(texts), dtype=np.int64) * size, lengths)
        keys += np.fromiter((term for terms in tokens for term in terms), np.int64, sum(lengths))
        unique, counts = np.unique(keys, return_counts=True)
        indptr = np.searchsorted(unique, np.arange(len(texts) + 1, dtype=np.int64) * size)
        return SparseBatch(
            indptr.astype(np.int64),
            (unique % size).astype(np.int32),
            counts.astype(np.float32),
            size,
        )
