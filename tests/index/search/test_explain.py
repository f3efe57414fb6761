"""What terms carried, read from segments and tail, against the vectors in the store."""

import numpy as np
import pytest

from index.indexing import upsert_documents
from index.search.config import SearchConfig
from index.search.explain import matched_terms, query_words
from index.search.pipeline import search
from index.search.query import SearchQuery, encode_query
from lsr.corpus.documents import Document
from lsr.encoders.catalogue import load_encoder
from lsr.sparse import SparseBatch

WORDS = ["apple", "plum", "pear", "fig", "quince", "medlar", "cherry", "damson"]


@pytest.fixture
def collection(bm25_collection):
    """Two segments, a tail in two parts, updated and deleted documents."""
    random = np.random.default_rng(3)

    def document(number):
        words = random.choice(WORDS, random.integers(1, 30)).tolist()
        return Document(f"d{number}", " ".join(words))

    made = bm25_collection({})
    for numbers in (range(40), range(30, 70), range(60, 75), range(70, 80)):
        upsert_documents(made, [document(number) for number in numbers])
        if numbers.stop in (40, 70):
            made.maintenance.flush()
    made.delete(["d3", "d61", "d72"])
    return made


def test_weights_are_those_that_the_store_gives(collection):
    with collection.pinned() as view:
        field = view.fields.named("sparse")
        query = encode_query(view, field, [SearchQuery("apple fig medlar nothing")])[0]
        numbers = view.store.live().tolist()
        assert len({len(segment) for segment in view.segments}) > 1
        stored = view.store.vectors.rows(field, numbers)
        rows = SparseBatch.from_rows([stored[n] for n in numbers], view.terms(field))
        impacts = view.fields.encoder(field).impacts(rows, view.statistics(field))
        expected = impacts.to_scipy().toarray()[:, query.indices].astype(np.float16)
        found = matched_terms(view, "sparse", query, numbers)
        np.testing.assert_array_equal(found.weights, expected.astype(np.float32))
        np.testing.assert_array_equal(found.products, found.weights * query.values)
        absent = matched_terms(view, "sparse", query, [10**9, *numbers[:2]])
        assert not absent.weights[0].any()
        np.testing.assert_array_equal(absent.weights[1:], found.weights[:2])


def test_contributions_are_in_order_and_sum_to_scores(collection):
    config = SearchConfig(limit=100, using="sparse", explain=True)
    hits = search(collection, SearchQuery("plum quince cherry"), config).hits
    assert len(hits) > 50
    for hit in hits:
        terms = hit.terms["sparse"]
        parts = [term.contribution for term in terms]
        assert parts == sorted(parts, reverse=True)
        assert min(parts) > 0
        assert sum(parts) == pytest.approx(hit.score, rel=1e-5)


def test_shares_are_of_the_heaviest_term(collection):
    with collection.pinned() as view:
        field = view.fields.named("sparse")
        query = encode_query(view, field, [SearchQuery("apple fig medlar")])[0]
        numbers = view.store.live().tolist()
        matched = matched_terms(view, "sparse", query, numbers)
        for row, shares in enumerate(matched.shares(0.5)):
            parts = matched.contributions(row)
            largest = max((part.contribution for part in parts), default=0.0)
            assert shares == {
                part.token: part.contribution / largest
                for part in parts
                if part.contribution >= 0.5 * largest
            }


def test_every_term_of_a_text_is_of_one_of_its_words(collection):
    for encoder in (load_encoder("bm25"), load_encoder("lsr-tiny-v1")):
        text = "The happy directories, happy (Überraschungen) 数学 of unbelievability"
        words = query_words(encoder, [text, "directories again"])
        written = [each.word for each in words]
        assert written.count("happy") == written.count("directories") == 1
        assert all(word in text or word == "again" for word in written)
        occurrences = [*encoder.occurrences(text), *encoder.occurrences("again")]
        named = {token for each in words for token in each.tokens}
        assert named == {each.token for each in occurrences}
    pieces = next(each.tokens for each in words if each.word == "directories")
    assert pieces[0] == "director"
    assert pieces[1:] == ["##ies", "word:directori"]


def test_the_words_of_a_query_come_with_an_explanation(collection):
    config = SearchConfig(using="sparse", explain=True)
    found = search(collection, SearchQuery("apples, plum"), config)
    assert [tuple(each) for each in found.query_words["sparse"]] == [
        ("apples", ["appl"]),
        ("plum", ["plum"]),
    ]
    assert search(collection, SearchQuery("plum"), SearchConfig()).query_words == {}
    weighed = search(collection, SearchQuery(tokens={"plum": 1.0}), config)
    assert weighed.query_words == {}
