"""Words beside an encoder's terms: the sum of both scores, by loops."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lsr.analysis.analyzer import analyzer
from lsr.encoders.bm25 import Bm25Config, Bm25Encoder
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.term_counts import collection_statistics
from lsr.errors import UsageError
from tests.strategies import texts

TERMS = ["hunt", "hunting", "the", "zzqqxx", "AB-12", "café", "เสียง", "C++", "quizto", "apple pie"]
IN_PIECES = {"zzqqxx", "quizto", "เสียง"}
small_texts = st.lists(st.sampled_from(TERMS), max_size=8).map(" ".join)


@pytest.fixture(scope="module")
def plain(masked_lm):
    return load_encoder(f"{masked_lm}")


@pytest.fixture(scope="module")
def opened(masked_lm):
    return load_encoder(f"{masked_lm},words=yes,words_weight=2")


def scores(encoder, documents, query, statistics):
    stored = encoder.encode_documents(documents)
    rows = encoder.impacts(stored, statistics).to_scipy()
    asked = encoder.encode_queries([query], statistics).to_scipy()
    wide = max(rows.shape[1], asked.shape[1])
    rows.resize((len(documents), wide))
    asked.resize((1, wide))
    return (rows @ asked.T).toarray().ravel()


def asked(plain, documents, query):
    """The weights of a query's terms, and what its words gain, by loops."""
    (row,) = plain.encode_queries([query])
    weights = dict(zip(row.indices.tolist(), row.values.tolist(), strict=True))
    words, tokenize = analyzer("auto"), plain.vocabulary.tokenize
    pieces = {word: set(tokenize([word])[0]) for word in query.split()}
    # The documents of a piece are those that match by it, be it through the model's expansion.
    of_documents = [
        (set(row.indices[row.values > 0].tolist()), set(words.terms(text)))
        for row, text in zip(plain.encode_documents(documents), documents, strict=True)
    ]
    whole = set().union(*(found for word, found in pieces.items() if word not in IN_PIECES))
    kept, having = {}, {}
    for word in IN_PIECES & set(pieces):
        counts = {term: sum(term in each for _, each in of_documents) for term in words.terms(word)}
        having[word] = [term for term, count in counts.items() if count]
        for piece in pieces[word] - whole:
            count = sum(piece in each for each, _ in of_documents)
            share = np.sqrt(min(1, max(counts.values()) / max(count, 1)))
            kept[piece] = max(kept.get(piece, 0), share)
    gains = Counter()
    for word, terms in having.items():
        lost = sum((1 - kept[p]) * weights.get(p, 0) for p in pieces[word] - whole)
        gains.update({term: lost / len(terms) for term in terms})
    return {term: weight * kept.get(term, 1) for term, weight in weights.items()}, gains


EXPANDED = [
    "hunt AB-12 hunting hunt apple pie zzqqxx",
    "hunting hunt เสียง quizto quizto AB-12",
]


@settings(max_examples=30)
@given(st.lists(small_texts, min_size=1, max_size=6), small_texts)
@example(EXPANDED, EXPANDED[0])
def test_a_score_is_the_sum_of_both(plain, opened, documents, query):
    """Repeated words counted, and the weights of pieces shared out."""
    statistics = collection_statistics(opened, documents, opened.encode_documents(documents))
    bm25 = Bm25Encoder(Bm25Config(0.9, 0.75, analyzer="auto"))
    counts = bm25.encode_documents(documents)
    words = scores(bm25, documents, query, bm25.statistics(counts))
    if set(query.split()) <= {"the"}:
        words = np.zeros(len(documents))
    weights, gains = asked(plain, documents, query)
    expected = 2 * words
    names = bm25.vocabulary.extended(counts.words)
    saturated = bm25.impacts(counts, bm25.statistics(counts))
    for place, (row, impacts) in enumerate(
        zip(plain.encode_documents(documents), saturated, strict=True)
    ):
        expected[place] += sum(
            weights.get(term, 0) * value
            for term, value in zip(row.indices.tolist(), row.values, strict=True)
        )
        expected[place] += sum(
            gains[names.token(term)] * value
            for term, value in zip(impacts.indices.tolist(), impacts.values, strict=True)
        )
    found = scores(opened, documents, query, statistics)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=30)
@given(st.lists(texts, max_size=5))
def test_documents_keep_the_models_weights_and_get_the_counts_of_words(plain, opened, many):
    stored, size = opened.encode_documents(many), opened.vocabulary.size
    assert stored.closed_size == size
    for row, alone, text in zip(stored, plain.encode_documents(many), many, strict=True):
        closed = row.indices < size
        np.testing.assert_array_equal(row.indices[closed], alone.indices)
        np.testing.assert_array_equal(row.values[closed], alone.values)
        stop = analyzer("auto").stop_words
        counted = Counter(
            f"word:{term}" for term in analyzer("auto").terms(text) if term not in stop
        )
        spelled = [stored.words[term - size] for term in row.indices[~closed]]
        assert dict(zip(spelled, row.values[~closed].tolist(), strict=True)) == counted
        assert (np.diff(row.indices) > 0).all()


def test_pieces_of_a_word_that_no_document_has_are_left_out(opened):
    stored = opened.encode_documents(["citric acid", "files"])
    statistics = collection_statistics(opened, ["citric acid", "files"], stored)
    pieces = set(opened.vocabulary.tokenize(["zzqqxx"])[0])
    assert len(pieces) > 1
    assert pieces.isdisjoint(opened.encode_queries(["zzqqxx"], statistics)[0].indices.tolist())


def test_a_piece_of_few_documents_that_have_the_word_weighs_nothing():
    default = load_encoder("lsr-tiny-v1")
    documents = ["citric acid", *["CIFS"] * 120]
    statistics = collection_statistics(default, documents, default.encode_documents(documents))
    found = scores(default, documents, "citric", statistics)
    assert found[0] > 0
    assert not found[1:].any()


def test_without_statistics_a_query_is_the_inner_encoders(plain, opened):
    ours, alone = opened.encode_queries(["apple pie"])[0], plain.encode_queries(["apple pie"])[0]
    np.testing.assert_array_equal(ours.indices, alone.indices)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("{model},words=maybe", "words is 'maybe'"),
        ("{model},analyzer=german", "give words=yes"),
        ("{model},words=yes,analyzer=wordpiece", "analyzer is 'wordpiece'"),
        ("{model},words=yes,words_b=2", "words_b is 2.0"),
        ("bm25,words=yes", "'words' is not an option"),
        ("bm25:{model},words=yes", "'words' is not an option"),
    ],
)
def test_settings_without_effect_are_refused(masked_lm, name, complaint):
    with pytest.raises(UsageError, match=complaint):
        load_encoder(name.format(model=masked_lm))


def test_the_packaged_encoder_has_words_by_default():
    default, without = load_encoder("lsr-tiny-v1"), load_encoder("lsr-tiny-v1,words=no")
    assert (default.name, default.open) == ("lsr-tiny-v1", True)
    assert (without.name, without.open) == ("lsr-tiny-v1,words=no", False)
    assert load_encoder(without.name).fingerprint == without.fingerprint
