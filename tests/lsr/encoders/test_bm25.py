"""BM25 against a loop over words, and against Lucene."""

import math
import string
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.analysis.analyzer import analyzer
from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.bm25 import Bm25Config, Bm25Encoder
from lsr.errors import UsageError
from tests.strategies import texts

modest = settings(max_examples=60)
STOP = ["the", "of", "to", "be", "or", "not", "and", "with"]
pool = [*STOP, "Wing", "boundary", "layer", "quizto", "boundaryof", "zürich", "flow,", "?!"]
small_texts = st.lists(st.sampled_from(pool), max_size=12).map(" ".join)
collections = st.lists(small_texts, min_size=1, max_size=8)
PIECES, ENGLISH = Bm25Config(analyzer="wordpiece"), Bm25Config()
configs = st.sampled_from(
    [
        replace(base, k1=k1, b=b)
        for base in (PIECES, ENGLISH)
        for k1, b in ((0.9, 0.4), (1.2, 0.0), (0.0, 0.4), (2, 1))
    ]
)
both = pytest.mark.parametrize("config", [PIECES, ENGLISH])


@cache
def encoder_with(config):
    return Bm25Encoder(config)


def bm25(encoder, documents, query, k1, b, stop=STOP):
    """Score of each document, from token strings."""

    def tokens(text):
        return tokens_of(encoder, text)

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


def tokens_of(encoder, text):
    if encoder.open:
        return analyzer("english").terms(text)
    return [encoder.vocabulary.token(term) for term in encoder.vocabulary.tokenize([text])[0]]


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
@given(collections, small_texts, st.sampled_from([PIECES, ENGLISH]))
def test_without_stop_words_every_word_counts(documents, query, config):
    encoder = encoder_with(replace(config, stopwords="none"))
    expected = bm25(encoder, documents, query, 0.9, 0.4, stop=())
    assert scores_of(encoder, documents, query) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("query", ["to be or not to be", "?!", "the, of"])
def test_a_query_of_stop_words_or_punctuation_alone_still_finds(query):
    assert scores_of(encoder_with(PIECES), [query, "wing"], query)[0] > 0
    assert scores_of(encoder_with(ENGLISH), [query, "wing"], query)[0] > 0 or query == "?!"


@both
def test_stop_words_beside_other_words_do_not_score(config):
    assert scores_of(encoder_with(config), ["the wing", "the layer"], "the wing")[1] == 0
    assert scores_of(encoder_with(config), ["the wing", "the layer"], "the xyzzyx")[1] == 0


@modest
@given(collections, st.sampled_from([PIECES, ENGLISH]))
def test_statistics_count_documents(documents, config):
    encoder = encoder_with(replace(config, stopwords="none"))
    terms = [set(tokens_of(encoder, text)) for text in documents]
    stored = encoder.encode_documents(documents)
    found = encoder.statistics(stored)
    assert found.documents == len(documents)
    for term in set().union(*terms):
        number = found.numbers([term])[term] if encoder.open else encoder.vocabulary.term(term)
        assert found.document_frequency[number] == sum(term in tokens for tokens in terms)
    assert found.document_frequency.sum() == sum(map(len, terms))


@modest
@given(st.lists(texts, max_size=5))
def test_stored_vectors_are_term_counts(many):
    encoder = encoder_with(PIECES)
    stored = encoder.encode_documents(many)
    assert len(stored) == len(many)
    for row, tokens in zip(stored, encoder.vocabulary.tokenize(many), strict=True):
        assert row.indices.tolist() == sorted(set(tokens))
        assert row.values.tolist() == [tokens.count(term) for term in sorted(set(tokens))]


@modest
@given(st.lists(texts, max_size=5))
def test_stored_words_are_counts_of_the_analyzers_terms(many):
    stored = encoder_with(ENGLISH).encode_documents(many)
    tokens = [*encoder_with(ENGLISH).vocabulary.tokens, *stored.words]
    assert stored.vocabulary_size == len(tokens)
    for row, text in zip(stored, many, strict=True):
        counted = {tokens[term]: count for term, count in zip(row.indices, row.values, strict=True)}
        assert counted == Counter(analyzer("english").terms(text))
        assert (np.diff(row.indices) > 0).all()


@both
def test_nothing_but_empty_documents(config):
    assert scores_of(encoder_with(config), ["", "  "], "wing").tolist() == [0, 0]


@both
def test_no_documents_at_all(config):
    encoder = encoder_with(config)
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
        ({"stopwords": "german"}, "allowed are auto, english and none"),
        ({"analyzer": "klingon"}, "analyzer is 'klingon'; allowed are auto, cjk"),
    ],
)
def test_settings_out_of_range_are_refused(settings, complaint):
    with pytest.raises(UsageError, match=complaint):
        Bm25Config(**settings)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (PIECES, "bm25-472704497aeed593"),
        (Bm25Config(1.2, 0.75, "none", "wordpiece"), "bm25-2e676af38b561249"),
    ],
)
def test_the_fingerprints_of_pieces_are_those_of_the_releases_before(config, expected):
    assert encoder_with(config).fingerprint == expected


def test_a_checkpoint_counts_its_pieces(masked_lm):
    checkpoint = Checkpoint.resolve(str(masked_lm))
    assert not Bm25Encoder(Bm25Config(), checkpoint).open
    assert Bm25Encoder(PIECES, checkpoint).name == f"bm25:{masked_lm}"
    with pytest.raises(UsageError, match="analyzer=german has no effect"):
        Bm25Encoder(Bm25Config(analyzer="german"), checkpoint)


def test_statistics_are_needed_to_weigh():
    encoder = encoder_with(ENGLISH)
    with pytest.raises(UsageError, match="need the statistics"):
        encoder.encode_queries(["wing"])
    with pytest.raises(UsageError, match="need the statistics"):
        encoder.impacts(encoder.encode_documents(["wing"]), None)
