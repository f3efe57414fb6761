"""Literal terms against BM25's formula, written as a loop."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.analysis.stop_words import STOP_WORDS
from lsr.encoders.bm25 import Bm25Config, Bm25Encoder
from lsr.encoders.literal_terms import LiteralTerms
from lsr.encoders.term_pooling import summed
from lsr.sparse import SparseBatch, SparseVector
from lsr.vocabulary import Vocabulary

VOCABULARY = Vocabulary.bert_uncased()
WORDS = [
    "cats",
    "hunt",
    "the",
    "mice",
    ",",
    "at",
    "night",
    "Zürich",
    "ﬁsh",
    "日本",
    "\x00",
    "the the",
]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join), max_size=4)


def counted(text):
    """Term to frequency, without stop words and punctuation."""
    found = {}
    for term in VOCABULARY.tokenize([text])[0]:
        token = VOCABULARY.token(term)
        letters = any(map(str.isalnum, token.removeprefix("##")))
        if letters and token not in STOP_WORDS:
            found[term] = found.get(term, 0) + 1
    return found


def loop(text, weight, length, k1=0.9, b=0.4):
    counts = counted(text)
    total = sum(counts.values())
    return {
        term: weight * tf / (tf + k1 * (1 - b + b * total / length)) for term, tf in counts.items()
    }


@settings(max_examples=25)
@given(TEXTS, st.floats(0.1, 5), st.floats(1, 300))
def test_each_term_has_bm25s_weight(texts, weight, length):
    rows = LiteralTerms(VOCABULARY, weight, length)(texts)
    assert len(rows) == len(texts)
    for row, text in zip(rows, texts, strict=True):
        wanted = loop(text, weight, length)
        assert row.indices.tolist() == sorted(wanted)
        np.testing.assert_allclose(row.values, [wanted[t] for t in sorted(wanted)], rtol=1e-6)


@settings(max_examples=25)
@given(TEXTS)
def test_they_are_added_to_the_models_weights(texts):
    literal = LiteralTerms(VOCABULARY, 0.5, 20.0)
    given_rows = [SparseVector.from_mapping({7: 1.0, 30_000: 2.0}) for _ in texts]
    added = summed(SparseBatch.from_rows(given_rows, VOCABULARY.size), literal(texts))
    for row, text in zip(added, texts, strict=True):
        wanted = {7: 1.0, 30_000: 2.0}
        for term, weight in loop(text, 0.5, 20.0).items():
            wanted[term] = wanted.get(term, 0.0) + weight
        assert row.indices.tolist() == sorted(wanted)
        np.testing.assert_allclose(row.values, [wanted[t] for t in sorted(wanted)], rtol=1e-6)


def test_with_the_collections_own_length_they_are_bm25s_impacts():
    texts = ["cats hunt mice at night", "mice mice mice", "a longer text about night and day"]
    bm25 = Bm25Encoder(Bm25Config(analyzer="wordpiece"))
    counts = bm25.encode_documents(texts)
    statistics = bm25.statistics(counts)
    impacts = bm25.impacts(counts, statistics).to_scipy().toarray()
    ours = LiteralTerms(VOCABULARY, 1.0, statistics.average_length)(texts).to_scipy().toarray()
    weighed = ours > 0
    np.testing.assert_allclose(ours[weighed], impacts[weighed], rtol=1e-6)
    assert not any(ours[:, VOCABULARY.term(word)].any() for word in ("a", "at", "and"))
