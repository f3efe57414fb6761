"""How often terms occur in texts, and the statistics of a collection that follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from lsr.analysis.stop_words import STOP_WORDS
from lsr.encoders.encoder import SparseEncoder
from lsr.encoders.term_pooling import pool_terms
from lsr.sparse import SparseBatch, SparseVector
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary

# How tokenizers spell a word's start or continuation: WordPiece, byte-level BPE, SentencePiece.
WORD_MARKS = "##", "Ġ", "▁"
# Texts whose tokens are held at a time.
COUNTED = 8192


def collection_statistics(
    encoder: SparseEncoder, documents: Sequence[str], stored: SparseBatch
) -> CollectionStatistics | None:
    """What an encoder weighs queries and counts by, of documents outside any collection.

    Args:
        encoder: any.
        documents: their texts.
        stored: what the encoder makes of them.
    """
    if not encoder.uses_statistics:
        return None
    if encoder.stores_counts:
        return encoder.statistics(stored)
    closed = term_statistics(encoder.vocabulary, documents)
    if not encoder.counts_words:
        return closed
    return replace(encoder.statistics(stored), closed=closed)


def term_statistics(vocabulary: Vocabulary, texts: Sequence[str]) -> CollectionStatistics:
    """Statistics of texts that are not kept; stop words and punctuation have no length."""
    starts = range(0, len(texts), COUNTED)
    return counted_statistics(
        vocabulary, (count_terms(vocabulary, texts[start : start + COUNTED]) for start in starts)
    )


def counted_statistics(
    vocabulary: Vocabulary, counted: Iterable[SparseBatch]
) -> CollectionStatistics:
    """The same of texts whose terms ``count_terms`` has counted, some at a time."""
    strong = ~weak_terms(vocabulary, STOP_WORDS)
    frequency, length, texts = np.zeros(vocabulary.size, dtype=np.int64), 0.0, 0
    for counts in counted:
        frequency += counts.document_frequency()
        length += float(counts.values[strong[counts.indices]].sum(dtype=np.float64))
        texts += len(counts)
    return CollectionStatistics(texts, frequency, length / max(texts, 1))


def count_terms(vocabulary: Vocabulary, texts: Sequence[str], max_length: int = 0) -> SparseBatch:
    """How often each term occurs in each text, special tokens left out.

    ``max_length`` is as in ``Vocabulary.tokenize``.
    """
    tokens = vocabulary.tokenize(texts, max_length)
    if len(tokens) == 1:
        return SparseBatch.from_rows([_counted(tokens[0])], vocabulary.size)
    lengths = [len(terms) for terms in tokens]
    total = sum(lengths)
    terms = np.fromiter(chain.from_iterable(tokens), np.int64, total)
    rows = np.repeat(np.arange(len(texts), dtype=np.int64), lengths)
    shape = len(texts), vocabulary.size
    return pool_terms(rows, terms, np.ones(total, dtype=np.float32), shape, "sum")


def _counted(terms: Sequence[int]) -> SparseVector:
    """How often each of some terms is among them: queries come one at a time, and need no pool."""
    counts = Counter(terms)
    distinct = sorted(counts)
    return SparseVector(
        np.array(distinct, dtype=np.int32),
        np.array([counts[term] for term in distinct], dtype=np.float32),
    )


def weak_terms(vocabulary: Vocabulary, stop_words: frozenset[str]) -> NDArray[np.bool_]:
    """bool (V,): true for punctuation and stop words."""
    weak = np.zeros(vocabulary.size, dtype=np.bool_)
    for token, term in vocabulary.ids.items():
        word = token
        for mark in WORD_MARKS:
            word = word.removeprefix(mark)
        weak[term] = not any(map(str.isalnum, word)) or (word in stop_words and "##" not in token)
    return weak
