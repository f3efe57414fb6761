"""Exact interpolation: what a ranking lacks gets its true score."""

from dataclasses import replace

import pytest

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents, upsert_documents
from index.search.config import Prefetch, SearchConfig
from index.search.fusion import LinearFusion
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from tests.index.conftest import items

WORDS = ["apple", "banana", "cherry", "lemon", "plum", "wing"]
QUERY = SearchQuery("apple plum wing")
FIELDS = ("sparse", "bm25", "dense")


@pytest.fixture(scope="module")
def collection(tmp_path_factory, masked_lm, dense_model):
    """Documents in several segments and the tail, some deleted, one in passages."""
    texts = {f"d{n}": " ".join(WORDS[n * k % 6] for k in range(1, 3 + n % 5)) for n in range(30)}
    long = " ".join(["lemon pie."] * 40 + ["apple wing."] * 30 + ["banana number."] * 40)
    fields = encoder_fields(str(masked_lm), str(dense_model), bm25=True)
    folder = tmp_path_factory.mktemp("look-up") / "c"
    made = Collection.create(folder, fields, passages="auto")
    index_documents(made, items(texts | {"long": long}))
    upsert_documents(made, [Document("short", "plum wing")])
    made.delete(["d3", "d11"])
    return made


def true_scores(collection, name):
    """Of every document, 0 where a sparse field doesn't find it."""
    result = search(collection, QUERY, SearchConfig(limit=100, using=name, payload=False))
    return {hit.id: hit.score for hit in result.hits}, {hit.id: hit.passage for hit in result.hits}


@pytest.mark.parametrize("depths", [(1, 2, 3), (5, 1, 4), (10, 10, 10)])
def test_each_document_of_one_ranking_gets_its_true_score_in_all(collection, depths):
    prefetch = tuple(Prefetch(*part) for part in zip(FIELDS, depths, strict=True))
    weights = {"sparse": 1.0, "bm25": 0.5, "dense": 2.0}
    config = SearchConfig(
        limit=100,
        prefetch=prefetch,
        fusion=LinearFusion(weights, "none", "exact"),
        payload=False,
    )
    result = search(collection, QUERY, config)
    scores = {name: true_scores(collection, name)[0] for name in FIELDS}
    union = set()
    for name, depth in zip(FIELDS, depths, strict=True):
        top = search(collection, QUERY, replace(config, prefetch=(), fusion=None, using=name))
        union |= {hit.id for hit in top.hits[:depth]}
    assert {hit.id for hit in result.hits} == union
    for hit in result.hits:
        # To the bit for sparse ones; FAISS sums a masked search in another order.
        for name in FIELDS:
            near = pytest.approx(scores[name].get(hit.id, 0.0), rel=1e-5, abs=1e-6)
            assert hit.scores[name] == (near if name == "dense" else scores[name].get(hit.id, 0.0))
        expected = sum(weights[name] * scores[name].get(hit.id, 0.0) for name in FIELDS)
        assert hit.score == pytest.approx(expected, rel=1e-5)
    assert "look-up" in result.stages_ms


def test_the_passage_of_a_document_that_was_looked_up_is_its_best(collection):
    config = SearchConfig(
        limit=100,
        prefetch=(Prefetch("dense", 100), Prefetch("bm25", 1)),
        fusion=LinearFusion({"dense": 0.0}, "none", "exact"),
    )
    (hit,) = (hit for hit in search(collection, QUERY, config).hits if hit.id == "long")
    found, passages = true_scores(collection, "bm25")
    assert hit.score == found["long"]
    assert hit.passage is not None
    assert hit.passage.count == passages["long"].count > 1
