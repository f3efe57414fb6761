"""BM25 against a loop over words."""

import math
import string
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.encoders.bm25 import Bm25Config, Bm25Encoder
from lsr.errors import UsageError
from tests.strategies import texts

modest = settings(max_examples=60)
STOP = ["the", "of", "to", "be", "or", "not", "and", "with"]
pool = [*STOP, "Wing", "boundary", "layer", "quizto", "boundaryof", "zürich", "flow,", "?!"]
small_texts = st.lists(st.sampled_from(pool), max_size=12).map(" ".join)
collections = st.lists(small_texts, min_size=1, max_size=8)
configs = st.sampled_from([Bm25Config(), Bm25Config(1.2, 0.0), Bm25Config(0.0), Bm25Config(2, 1)])
ENGLISH, NO_STOP_WORDS = Bm25Config(), Bm25Config(stopwords="none")


@cache
def encoder_with(config):
    return Bm25Encoder(config)


def bm25(encoder, documents, query, k1, b, stop=STOP):
    """Score of each document, from token strings."""

    def tokens(text):
        return [encoder.vocabulary.token(term) for term in encoder.vocabulary.tokenize([text])[0]]

    def counts(token):
        return token not in stop and any(c not in string.punctuation for c in token.strip("#"))

    tokenized = [tokens(text) for text in documents]
    lengths = [sum(map(counts, words)) for words in tokenized]
    average = sum(lengths) / len(documents)
    asked = [token for token in tokens(query) if counts(token)] or tokens(query)
    scores = []
    for words, length in zip(tokenized, lengths, strict=True):
        score = 0.0
        for token in asked:
            df = sum(token in other for other in tokenized)
            idf = math.log(1 + (len(documents) - df + 0.5) / (df + 0.5))
            tf = words.count(token)
            if tf:
                relative = length / average if average else 0.0
                score += idf * tf / (tf + k1 * (1 - b + b * relative))
        scores.append(score)
    return scores


def scores_of(encoder, documents, query):
    stored = encoder.encode_documents(documents)
    statistics = encoder.statistics(stored)
    weights = encoder.impacts(stored, statistics).to_scipy()
    return (weights @ encoder.encode_queries([query], statistics).to_scipy().T).toarray().ravel()


@modest
@given(collections, small_texts, configs)
def test_scores_are_those_of_the_formula(documents, query, config):
    encoder = encoder_with(config)
    expected = bm25(encoder, documents, query, config.k1, config.b)
    assert scores_of(encoder, documents, query) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@modest
@given(collections, small_texts)
def test_without_stop_words_every_word_counts(documents, query):
    encoder = encoder_with(NO_STOP_WORDS)
    expected = bm25(encoder, documents, query, 0.9, 0.4, stop=())
    assert scores_of(encoder, documents, query) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("query", ["to be or not to be", "?!", "the, of"])
def test_a_query_of_stop_words_or_punctuation_alone_still_finds(query):
    assert scores_of(encoder_with(ENGLISH), [query, "wing"], query)[0] > 0


def test_stop_words_beside_other_words_do_not_score():
    assert scores_of(encoder_with(ENGLISH), ["the wing", "the layer"], "the wing")[1] == 0


@modest
@given(collections)
def test_statistics_count_documents(documents):
    encoder = encoder_with(NO_STOP_WORDS)
    terms = [set(tokens) for tokens in encoder.vocabulary.tokenize(documents)]
    found = encoder.statistics(encoder.encode_documents(documents))
    assert found.documents == len(documents)
    for term in set().union(*terms):
        assert found.document_frequency[term] == sum(term in tokens for tokens in terms)
    assert found.document_frequency.sum() == sum(map(len, terms))


@modest
@given(st.lists(texts, max_size=5))
def test_stored_vectors_are_term_counts(many):
    encoder = encoder_with(ENGLISH)
    stored = encoder.encode_documents(many)
    assert len(stored) == len(many)
    for row, tokens in zip(stored, encoder.vocabulary.tokenize(many), strict=True):
        assert row.indices.tolist() == sorted(set(tokens))
        assert row.values.tolist() == [tokens.count(term) for term in sorted(set(tokens))]


def test_nothing_but_empty_documents():
    assert scores_of(encoder_with(ENGLISH), ["", "  "], "wing").tolist() == [0, 0]


def test_no_documents_at_all():
    encoder = encoder_with(ENGLISH)
    statistics = encoder.statistics(encoder.encode_documents([]))
    assert (statistics.documents, statistics.average_length) == (0, 0)
    assert np.isfinite(encoder.encode_queries(["wing"], statistics).values).all()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"k1": -0.1}, "k1 is -0.1"),
        ({"k1": math.inf}, "k1 is inf"),
        ({"k1": math.nan}, "k1 is nan"),
        ({"b": 1.1}, "b is 1.1"),
        ({"b": math.nan}, "b is nan"),
        ({"stopwords": "german"}, "allowed are english and none"),
    ],
)
def test_settings_out_of_range_are_refused(settings, complaint):
    with pytest.raises(UsageError, match=complaint):
        Bm25Config(**settings)


def test_statistics_are_needed_to_weigh():
    encoder = encoder_with(ENGLISH)
    with pytest.raises(UsageError, match="need the statistics"):
        encoder.encode_queries(["wing"])
    with pytest.raises(UsageError, match="need the statistics"):
        encoder.impacts(encoder.encode_documents(["wing"]), None)
