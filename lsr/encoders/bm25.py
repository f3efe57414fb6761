"""BM25 as impacts: the lexical encoder, which needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.analysis.analyzer import ANALYZERS, analyzer, spelled_part_of
from lsr.analysis.stop_words import stop_words
from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.encoder import Occurrence, SparseEncoder, canonical_name, fingerprint
from lsr.encoders.term_counts import count_terms, weak_terms
from lsr.encoders.term_pooling import owners
from lsr.encoders.word_counts import (
    count_words,
    known_words,
    lengths_of,
    numbers_of,
    unknown_words,
)
from lsr.errors import UsageError
from lsr.settings import check_choice
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary

# Terms are the pieces of a WordPiece or BPE vocabulary, which is closed.
PIECES = "wordpiece"


@dataclass(frozen=True, slots=True)
class Bm25Config:
    """BM25's parameters, by default Anserini's."""

    # Saturates term frequency; 0 or more.
    k1: float = 0.9
    # Normalises by length, 0 (not at all) to 1.
    b: float = 0.4
    # Terms that count only where a query has no others: "auto" for those of the analyzer's
    # language, "english", or "none".
    stopwords: str = "auto"
    # What makes terms of a text: a language, "auto", "cjk", "standard" or "wordpiece".
    analyzer: str = "english"

    def __post_init__(self) -> None:
        if not (self.k1 >= 0 and np.isfinite(self.k1)):
            raise UsageError(f"k1 is {self.k1}; allowed is 0 or more")
        if not 0 <= self.b <= 1:
            raise UsageError(f"b is {self.b}; allowed is 0 to 1")
        check_choice("stopwords", self.stopwords, ("auto", "english", "none"))
        check_choice("analyzer", self.analyzer, (*ANALYZERS, PIECES))


def saturated(
    counts: SparseBatch, by_length: NDArray[np.float64], k1: float, b: float, weight: float = 1.0
) -> SparseBatch:
    """weight * tf / (tf + k1 * (1 - b + b * |d| / avgdl)) of each count.

    ``by_length`` float64 (n,) is b * |d| / avgdl of each row.
    """
    tf = counts.values.astype(np.float64)
    norms = k1 * (1 - b + by_length)
    weights = (weight * tf / (tf + norms[owners(counts)])).astype(np.float32)
    return replace(counts, values=weights)


class Bm25Encoder(SparseEncoder):
    """Robertson and Zaragoza (2009), in Lucene's form without the factor (k1 + 1).

    score(q, d) = sum over t of qtf(t) * idf(t) * tf / (tf + k1 * (1 - b + b * |d| / avgdl)).
    Documents are stored as counts of all terms; ``impacts`` weighs them, queries carry the IDF.
    Stop words do not count for |d|, and a query uses them only if it has nothing else, so "to be or
    not to be" still finds something.

    Terms are the words that an analyser makes of a text, an open vocabulary whose closed part is
    the stop words; or the pieces of a vocabulary, where punctuation is treated as stop words are.

    Raises:
        UsageError: a checkpoint, whose pieces are meant, goes with another analyzer.
    """

    stores_counts = True
    needs_statistics = True
    uses_statistics = True
    inference_free = True

    def __init__(
        self, config: Bm25Config | None = None, checkpoint: Checkpoint | None = None
    ) -> None:
        config = config or Bm25Config()
        if checkpoint and config.analyzer not in (Bm25Config().analyzer, PIECES):
            raise UsageError(
                f"bm25:{checkpoint.name} counts the pieces of that model, so analyzer="
                f"{config.analyzer} has no effect; give bm25,analyzer={config.analyzer}"
            )
        named = replace(config, analyzer=Bm25Config().analyzer) if checkpoint else config
        self.name = canonical_name("bm25", checkpoint, named)
        self.config = replace(config, analyzer=PIECES) if checkpoint else config
        self.open = self.counts_words = self.config.analyzer != PIECES
        weighing = {"k1": config.k1, "b": config.b}
        if self.open:
            self.words_by = config.analyzer
            self._analyzer = analyzer(config.analyzer)
            auto = config.stopwords == "auto"
            weak = self._analyzer.stop_words if auto else stop_words(config.stopwords)
            self.vocabulary = Vocabulary.from_tokens(sorted(weak))
            self._weak = np.ones(len(weak), dtype=np.bool_)
            parts: dict[str, Any] = {"analyzer": config.analyzer, "config": weighing}
        else:
            language = "none" if config.stopwords == "none" else "english"
            self.vocabulary = checkpoint.vocabulary if checkpoint else Vocabulary.bert_uncased()
            self._weak = weak_terms(self.vocabulary, stop_words(language))
            parts = {"config": weighing | {"stopwords": language}}
            if checkpoint and checkpoint.tokenization:
                parts["tokenizer"] = checkpoint.tokenization
        self.fingerprint = fingerprint("bm25", vocabulary=self.vocabulary.digest, **parts)
        self._tokens = 0

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
        counts = self._count(texts)
        strong = ~self._is_weak(counts.indices)
        alone = np.bincount(owners(counts)[strong], minlength=len(counts)) == 0
        counts = counts.keep(strong | alone[owners(counts)])
        if self.open:
            counts = known_words(counts, statistics.numbers)
        weights = counts.values * statistics.idf_of(counts.indices)
        size = max(counts.vocabulary_size, len(statistics.document_frequency))
        return replace(counts, values=weights, vocabulary_size=size)

    def statistics(self, stored: SparseBatch) -> CollectionStatistics:
        """Statistics of stored counts, to weigh them by."""
        lengths = self._lengths(stored)
        average = float(lengths.sum() / max(len(stored), 1))
        frequency = stored.document_frequency()
        return CollectionStatistics(len(stored), frequency, average, numbers_of(stored))

    def impacts(self, stored: SparseBatch, statistics: CollectionStatistics | None) -> SparseBatch:
        """Each stored count, saturated."""
        if statistics is None:
            raise UsageError("BM25 impacts need the statistics of a collection")
        relative = self._lengths(stored) / (statistics.average_length or 1.0)
        return saturated(stored, self.config.b * relative, self.config.k1, self.config.b)

    def content(self, stored: SparseBatch) -> SparseBatch:
        """See ``SparseEncoder``."""
        return stored.keep(~self._is_weak(stored.indices))

    def occurrences(self, text: str) -> list[Occurrence]:
        """See ``SparseEncoder``."""
        if not self.open:
            return super().occurrences(text)
        found = enumerate(self._analyzer.occurrences(text))
        return [Occurrence(term, start, end, place) for place, (term, start, end) in found]

    def unknown_words(self, text: str, statistics: CollectionStatistics) -> list[str]:
        """See ``SparseEncoder``."""
        return unknown_words(self._analyzer, text, statistics) if self.open else []

    def spelled_part(self, token: str) -> str:
        """See ``SparseEncoder``."""
        return spelled_part_of(token) if self.open else super().spelled_part(token)

    def _lengths(self, stored: SparseBatch) -> NDArray[np.float64]:
        return lengths_of(stored, ~self._is_weak(stored.indices))

    def _is_weak(self, terms: NDArray[np.int32]) -> NDArray[np.bool_]:
        weak = np.zeros(len(terms), dtype=np.bool_)
        closed = terms < len(self._weak)
        weak[closed] = self._weak[terms[closed]]
        return weak

    def _count(self, texts: Sequence[str]) -> SparseBatch:
        if not self.open:
            return count_terms(self.vocabulary, texts)
        return count_words(map(self._analyzer.terms, texts), self.vocabulary.tokens)
