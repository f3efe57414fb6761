"""A collection is opened with the encoders it was built with, or made with those asked for."""

from dataclasses import replace

import pytest

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from index.opening import open_or_create
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.corpus.items import given_items
from lsr.encoders.dense import DenseEncoder
from lsr.encoders.packaged import DEFAULT_ENCODER
from lsr.errors import EncoderMismatchError, NotFoundError, UsageError


@pytest.mark.parametrize(("encoder", "bm25"), [(None, False), (None, True), ("bm25,b=1", False)])
def test_a_new_collection_has_the_fields_asked_for(tmp_path, encoder, bm25):
    made = open_or_create(tmp_path / "new" / "fruit", encoder, bm25=bm25)
    assert list(made.fields) == encoder_fields(encoder or DEFAULT_ENCODER, bm25=bm25)
    assert list(Collection.open(made.path).fields) == list(made.fields)


@pytest.fixture
def built(tmp_path, masked_lm):
    """A collection with a learned encoder and BM25 beside it."""
    return open_or_create(tmp_path / "fruit", str(masked_lm), bm25=True)


def test_what_is_there_is_opened(built, masked_lm):
    for asked in ({}, {"bm25": True}, {"encoder": str(masked_lm), "bm25": True}):
        opened = open_or_create(built.path, **asked)
        assert list(opened.fields) == list(built.fields)


def test_other_encoders_than_those_there_are_refused(built, masked_lm):
    """And fewer, where one is named."""
    for encoder in ("bm25", DEFAULT_ENCODER, str(masked_lm)):
        with pytest.raises(EncoderMismatchError, match="leave out --encoder"):
            open_or_create(built.path, encoder)


def test_fields_that_are_not_there_are_refused(tmp_path, masked_lm, dense_model):
    made = open_or_create(tmp_path / "fruit", str(masked_lm))
    for asked in ({"bm25": True}, {"dense": str(dense_model)}):
        with pytest.raises(EncoderMismatchError, match="was built with sparse="):
            open_or_create(made.path, **asked)


def test_a_pair_of_dense_models_is_opened_as_earlier_releases_left_it(
    tmp_path, masked_lm, dense_model
):
    """Their fingerprint held the weight of the second, which is one of queries."""
    name = f"{dense_model}+{masked_lm},weight=0.25"
    sparse, dense = encoder_fields("bm25", name)
    (former,) = DenseEncoder.load(name).former
    old = replace(dense, fingerprint=former)
    made = Collection.create(tmp_path / "fruit", [sparse, old])
    index_documents(made, given_items([Document("a", "a wing"), Document("b", "a plate")]))
    made.close()
    opened = open_or_create(made.path, "bm25", name)
    assert list(opened.fields) == [sparse, old]
    for weight in (None, 2.0):
        config = SearchConfig(using="dense", dense_weight=weight)
        wanted = DenseEncoder.load(f"{dense_model}+{masked_lm},weight={weight or 0.25}")
        query = wanted.encode_queries(["wing"])[0]
        scores = wanted.encode_documents(["a wing", "a plate"]) @ query
        hits = {hit.id: hit.score for hit in search(opened, SearchQuery("wing"), config).hits}
        assert hits == pytest.approx(dict(zip("ab", scores.tolist(), strict=True)), abs=1e-4)
    with pytest.raises(UsageError, match=r"search with --dense-weight 0\.5"):
        open_or_create(made.path, "bm25", name.replace("0.25", "0.5"))
    with pytest.raises(EncoderMismatchError, match="was built with"):
        open_or_create(made.path, "bm25", f"{masked_lm}+{dense_model},weight=0.25")
    vector = SearchQuery(dense=[0.0] * dense.size)
    with pytest.raises(UsageError, match="the query brings its own"):
        search(opened, vector, SearchConfig(using="dense", dense_weight=2.0))


def test_nothing_is_made_where_that_is_impossible(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="no collection can be created"):
        open_or_create(tmp_path / "file", "bm25")
    with pytest.raises(NotFoundError):
        open_or_create(tmp_path / "fruit", "./nosuch")
    assert not (tmp_path / "fruit").exists()
