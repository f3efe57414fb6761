"""An encoder's vocabulary opened: beside its terms, every word of a text is a term."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lsr.analysis.analyzer import ANALYZERS, analyzer, spelled_part_of
from lsr.encoders.bm25 import saturated
from lsr.encoders.encoder import Occurrence, SparseEncoder, fingerprint
from lsr.encoders.fragments import fragmented, shared_out
from lsr.encoders.word_counts import (
    count_words,
    lengths_of,
    numbers_of,
    unknown_words,
)
from lsr.errors import UsageError
from lsr.settings import SWITCH, changed, check_choice, check_range, configure, spell
from lsr.sparse import SparseBatch, SparseVector
from lsr.statistics import CollectionStatistics

# Tells a word from a term of the closed vocabulary that is spelled alike.
MARK = "word:"


@dataclass(frozen=True, slots=True)
class OpenVocabularyConfig:
    """How words are made and weighed."""

    # Of ``lsr.analysis.analyzer``.
    analyzer: str = "auto"
    # What BM25's weights are multiplied by before they stand beside the model's.
    words_weight: float = 1.6
    # BM25's parameters.
    words_k1: float = 0.9
    words_b: float = 0.75

    def __post_init__(self) -> None:
        check_choice("analyzer", self.analyzer, ANALYZERS)
        check_range("words_weight", self.words_weight, 0, 1000)
        check_range("words_k1", self.words_k1, 0)
        check_range("words_b", self.words_b, 0, 1)


class OpenVocabularyEncoder(SparseEncoder):
    """Another encoder's vectors, and in them a term for each word, weighed as BM25 weighs it.

    score(q, d) = the inner encoder's + weight * the BM25 of the words, in one vector and one
    search. Words are made by an analyser and spelled with ``word:`` before them. Documents are
    stored with their counts, which ``impacts`` weighs by the statistics of the collection. So every
    word is found, whether the model knows it or not.

    Of a query's words that the inner vocabulary has only in pieces, the pieces would match by
    chance what is spelled alike in part. They give weight up to the word, as ``shared_out`` says,
    and where no document has it they weigh nothing. Without statistics a query is the inner
    encoder's.

    Raises:
        UsageError: the inner encoder has words already.
    """

    open = True
    counts_words = True
    uses_statistics = True
    mark = MARK

    def __init__(
        self, inner: SparseEncoder, config: OpenVocabularyConfig, by_default: bool = False
    ) -> None:
        if inner.open or inner.stores_counts:
            raise UsageError(
                f"words=yes goes with a learned encoder, and {inner.name} counts words itself; "
                "leave it out"
            )
        self.inner = inner
        self.config = config
        self.vocabulary = inner.vocabulary
        self.needs_statistics = inner.needs_statistics
        self.inference_free = inner.inference_free
        settings = [f"{key}={spell(value)}" for key, value in changed(config).items()]
        asked = [] if by_default else ["words=yes"]
        self.name = ",".join([inner.name, *asked, *settings])
        self.fingerprint = fingerprint(
            "words", inner=inner.fingerprint, config=asdict(config), pieces="shared out"
        )
        self.words_by = config.analyzer
        self._analyzer = analyzer(config.analyzer)

    @property
    def uses_frequencies(self) -> bool:
        """Whether the inner encoder does."""
        return self.inner.uses_frequencies

    @property
    def tokens_encoded(self) -> int:
        """Tokens of documents that went through the model so far."""
        return self.inner.tokens_encoded

    def cuts(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which documents the inner encoder doesn't read to the end, bool (n,)."""
        return self.inner.cuts(texts)

    def encode_documents(self, texts: Sequence[str]) -> SparseBatch:
        """The inner encoder's weights, and the count of each word of each text."""
        return _beside(self.inner.encode_documents(texts), self._count(texts))

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        """The inner encoder's weights, and count times IDF of each word that the collection has."""
        if statistics is None:
            return self.inner.encode_queries(texts)
        inner = self.inner.encode_queries(texts, statistics.closed)
        rows = [
            self._with_words(text, row, statistics) for text, row in zip(texts, inner, strict=True)
        ]
        size = max(inner.vocabulary_size, len(statistics.document_frequency))
        largest = max((int(row.indices[-1]) + 1 for row in rows if len(row)), default=0)
        return SparseBatch.from_rows(rows, max(size, largest))

    def statistics(self, stored: SparseBatch) -> CollectionStatistics:
        """Statistics of the words; the frequencies of other terms count weights above 0."""
        average = float(self._lengths(stored).sum() / max(len(stored), 1))
        frequency = stored.document_frequency()
        return CollectionStatistics(len(stored), frequency, average, numbers_of(stored))

    def impacts(self, stored: SparseBatch, statistics: CollectionStatistics | None) -> SparseBatch:
        """The inner encoder's weights as they are, each count saturated."""
        if statistics is None:
            raise UsageError("the words of a vector need the statistics of a collection")
        config = self.config
        by_length = config.words_b * self._lengths(stored) / (statistics.average_length or 1.0)
        weighed = saturated(
            stored, by_length, config.words_k1, config.words_b, config.words_weight
        ).values
        counted = stored.indices >= self.vocabulary.size
        return replace(stored, values=np.where(counted, weighed, stored.values))

    def occurrences(self, text: str) -> list[Occurrence]:
        """See ``SparseEncoder``."""
        words = [
            Occurrence(MARK + term, start, end, -1 - place)
            for place, (term, start, end) in enumerate(self._analyzer.occurrences(text))
        ]
        return self.inner.occurrences(text) + words

    def unknown_words(self, text: str, statistics: CollectionStatistics) -> list[str]:
        """See ``SparseEncoder``."""
        return unknown_words(self._analyzer, text, statistics, MARK)

    def spelled_part(self, token: str) -> str:
        """See ``SparseEncoder``."""
        if token.startswith(MARK):
            return spelled_part_of(token.removeprefix(MARK))
        return self.inner.spelled_part(token)

    def _count(self, texts: Sequence[str]) -> SparseBatch:
        weak = self._analyzer.stop_words
        return count_words(
            [MARK + term for term in self._analyzer.terms(text) if term not in weak]
            for text in texts
        )

    def _lengths(self, stored: SparseBatch) -> NDArray[np.float64]:
        return lengths_of(stored, stored.indices >= self.vocabulary.size)

    def _with_words(
        self, text: str, row: SparseVector, statistics: CollectionStatistics
    ) -> SparseVector:
        """A query's weights over the closed vocabulary, and those of its words behind them."""
        weak = self._analyzer.stop_words
        occurring = self._analyzer.analyzed(text)
        counts = Counter(MARK + each.text for each in occurring if each.text not in weak)
        having = statistics.numbers(counts)
        known = sorted((having[word], count) for word, count in counts.items() if word in having)
        terms = np.array([term for term, _ in known], dtype=np.int32)
        weights = np.array([count for _, count in known], dtype=np.float32)
        weights *= statistics.idf_of(terms)
        closed = row.values
        query = fragmented(self.vocabulary, self._analyzer, MARK, text)
        if query.fragments:
            closed, gained = shared_out(query, row, having, statistics)
            # In a document a word weighs ``words_weight`` times what a piece does.
            weight = self.config.words_weight or np.inf
            weights += [gained.get(term, 0.0) / weight for term, _ in known]
        kept = closed > 0
        return SparseVector(
            np.concatenate([row.indices[kept], terms]), np.concatenate([closed[kept], weights])
        )


def open_vocabulary(
    inner: SparseEncoder, options: Mapping[str, str], by_default: bool = False
) -> SparseEncoder:
    """An encoder with words beside its terms, as options ask for them.

    Args:
        inner: the encoder.
        options: those of ``split_options``.
        by_default: whether it has words where ``words`` is not said.

    Raises:
        UsageError: an option is malformed, or of no effect.
    """
    settings = dict(options)
    wanted = settings.pop("words", "yes" if by_default else "no")
    check_choice("words", wanted, tuple(SWITCH))
    if SWITCH[wanted]:
        config = configure(OpenVocabularyConfig, settings)
        return OpenVocabularyEncoder(inner, config, by_default)
    if settings:
        raise UsageError(
            f"{next(iter(settings))!r} is about the words beside {inner.name}, which has none; "
            "give words=yes, or leave it out"
        )
    if by_default:
        inner.name += ",words=no"
    return inner


def beside_model() -> str:
    """The name of the encoder that weighs words as they are weighed beside a model, but for the
    factor ``words_weight``.
    """
    usual = OpenVocabularyConfig()
    return f"bm25,k1={usual.words_k1:g},b={usual.words_b:g},analyzer={usual.analyzer}"


def split_options(options: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The options of an encoder, and those of the words beside it."""
    known = {"words", *OpenVocabularyConfig.__dataclass_fields__}
    own = {key: value for key, value in options.items() if key not in known}
    return own, {key: value for key, value in options.items() if key in known}


def _beside(rows: SparseBatch, counts: SparseBatch) -> SparseBatch:
    """Both, the ids of the words of ``counts`` following the vocabulary of ``rows``."""
    shifted = replace(counts, indices=(counts.indices + rows.vocabulary_size).astype(np.int32))
    size = rows.vocabulary_size + len(counts.words)
    return replace(_joined(rows, shifted), vocabulary_size=size, words=counts.words)


def _joined(first: SparseBatch, second: SparseBatch) -> SparseBatch:
    """Rows of both, where each id of ``second`` is above those of ``first``."""
    lengths = np.diff(first.indptr), np.diff(second.indptr)
    indptr = first.indptr + second.indptr
    places = np.repeat(np.tile([False, True], len(first)), np.column_stack(lengths).ravel())
    indices = np.empty(len(places), dtype=np.int32)
    values = np.empty(len(places), dtype=np.float32)
    indices[~places], indices[places] = first.indices, second.indices
    values[~places], values[places] = first.values, second.values
    size = max(first.vocabulary_size, second.vocabulary_size)
    return SparseBatch(indptr, indices, values, size)
