"""Queries by another encoder than the documents': same vocabulary, or refused."""

import json
import shutil

import numpy as np
import pytest
from tokenizers import Tokenizer

from index.collection.collection import Collection
from index.collection.field import dump_fields, encoder_fields, load_fields
from index.indexing import index_documents
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.encoders.catalogue import load_encoder
from lsr.errors import EncoderMismatchError, InputError, NotFoundError, UsageError
from tests.index.conftest import items
from tests.oracles import rank_by_inner_product

TEXTS = {
    "a": "apple banana",
    "b": "banana cherry cherry",
    "c": "cherry lemon plum",
    "d": "plum",
    "e": "",
    "f": "apple apple apple plum",
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory, masked_lm):
    """The tiny model with an IDF table beside it."""
    folder = tmp_path_factory.mktemp("tables") / "model"
    shutil.copytree(masked_lm, folder)
    idf = {"apple": 2.0, "plum": 1.5, "cherry": 0.5, "lemon": 4.0}
    (folder / "idf.json").write_text(json.dumps(idf))
    return folder


@pytest.fixture(scope="module")
def other_vocabulary(tmp_path_factory, masked_lm):
    """The tiny model, with two terms of its vocabulary exchanged."""
    folder = tmp_path_factory.mktemp("other") / "model"
    shutil.copytree(masked_lm, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    terms = tokenizer["model"]["vocab"]
    terms["apple"], terms["plum"] = terms["plum"], terms["apple"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id("plum") == terms["plum"]
    return folder


@pytest.fixture(scope="module")
def collection(tmp_path_factory, masked_lm):
    made = Collection.create(tmp_path_factory.mktemp("c") / "c", encoder_fields(str(masked_lm)))
    index_documents(made, items(TEXTS))
    return made


def weights(vector):
    return dict(zip(vector.indices.tolist(), vector.values.tolist(), strict=True))


@pytest.mark.parametrize("text", ["apple and plum", "lemon", "cherry apple", "xylophone"])
def test_queries_are_encoded_with_the_encoder_that_is_named(collection, masked_lm, tables, text):
    name = f"inference-free:{tables}"
    documents = load_encoder(str(masked_lm)).encode_documents(list(TEXTS.values()))
    query = load_encoder(name).encode_queries([text])[0]
    ranking = rank_by_inner_product(list(map(weights, documents)), weights(query), 10)
    config = SearchConfig(query_encoder=name, explain=True)
    result = search(collection, SearchQuery(text), config)
    assert [hit.id for hit in result.hits] == [list(TEXTS)[place] for place, _ in ranking]
    np.testing.assert_allclose(
        [hit.score for hit in result.hits], [score for _, score in ranking], rtol=1e-5
    )
    assert result.query_encoder == {"sparse": load_encoder(name).fingerprint}
    assert result.encoder == {"sparse": load_encoder(str(masked_lm)).fingerprint}
    assert [weight for _, weight in result.query_terms["sparse"]] == sorted(
        query.values.tolist(), reverse=True
    )


def test_without_one_nothing_changes(collection, masked_lm):
    plain = search(collection, SearchQuery("apple"))
    named = search(collection, SearchQuery("apple"), SearchConfig(query_encoder=str(masked_lm)))
    assert plain.query_encoder == {}
    assert [(hit.id, hit.score) for hit in named.hits] == [
        (hit.id, hit.score) for hit in plain.hits
    ]


def test_another_vocabulary_is_refused(collection, other_vocabulary):
    given = load_encoder(str(other_vocabulary)).vocabulary.digest
    field = collection.fields.named("sparse")
    with pytest.raises(EncoderMismatchError) as raised:
        search(collection, SearchQuery("apple"), SearchConfig(query_encoder=str(other_vocabulary)))
    message = str(raised.value)
    assert given != field.vocabulary
    assert f"has the vocabulary {given} of 30522 terms" in message
    assert f"over the vocabulary {field.vocabulary} of 30522 terms" in message
    assert message.endswith("or none to use the field's own")


def test_fields_of_earlier_releases_keep_working(tmp_path, masked_lm, tables, other_vocabulary):
    fields = encoder_fields(str(masked_lm))
    assert load_fields(dump_fields(fields)) == fields
    assert fields[0].vocabulary == load_encoder(str(masked_lm)).vocabulary.digest
    old = json.loads(dump_fields(fields))
    for entry in old:
        del entry["vocabulary"]
    collection = Collection.create(tmp_path / "old", load_fields(json.dumps(old)))
    index_documents(collection, items(TEXTS))
    reopened = Collection.open(tmp_path / "old")
    assert reopened.fields.named("sparse").vocabulary == ""
    config = SearchConfig(query_encoder=f"inference-free:{tables}")
    assert search(reopened, SearchQuery("apple"), config).hits
    with pytest.raises(EncoderMismatchError, match="the field 'sparse' was filled over"):
        search(reopened, SearchQuery("x"), SearchConfig(query_encoder=str(other_vocabulary)))


def test_an_encoder_that_needs_counts_gets_those_of_its_vocabulary(
    collection, hybrid_collection, masked_lm
):
    name = f"inference-free:{masked_lm},idf=collection"
    with pytest.raises(UsageError, match="takes its IDF from counts of terms, which this coll"):
        search(collection, SearchQuery("apple"), SearchConfig(query_encoder=name))
    counted = hybrid_collection(TEXTS)
    result = search(
        counted, SearchQuery("apple plum"), SearchConfig(using="sparse", query_encoder=name)
    )
    statistics = counted.view().statistics(counted.fields.counts)
    expected = load_encoder(name).encode_queries(["apple plum"], statistics)[0]
    assert set(result.query_encoder) == {"sparse"}
    sparse = load_encoder(str(masked_lm)).encode_documents([TEXTS["f"]])[0]
    common = set(weights(sparse)) & set(weights(expected))
    score = sum(weights(sparse)[term] * weights(expected)[term] for term in common)
    (hit,) = [hit for hit in result.hits if hit.id == "f"]
    assert hit.score == pytest.approx(score, rel=1e-3)


def test_only_the_sparse_field_takes_one(hybrid_collection, tables):
    collection = hybrid_collection(TEXTS)
    name = f"inference-free:{tables}"
    with pytest.raises(UsageError, match="goes with the field 'sparse', and searched are bm25"):
        search(collection, SearchQuery("x"), SearchConfig(using="bm25", query_encoder=name))
    fused = search(
        collection, SearchQuery("apple"),
        SearchConfig(using="sparse+bm25", query_encoder=name, explain=True),
    )  # fmt: skip
    assert set(fused.query_encoder) == {"sparse"}
    assert fused.query_terms["sparse"] == [("apple", 2.0)]
    assert fused.query_terms["bm25"] != [("apple", 2.0)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("./nowhere", NotFoundError), ("bm25,k9=1", UsageError), ("", UsageError)],
)
def test_a_name_of_no_encoder_is_refused(collection, name, kind):
    with pytest.raises(kind):
        search(collection, SearchQuery("apple"), SearchConfig(query_encoder=name))


def test_tokens_are_checked_against_the_vocabulary(collection, tables):
    config = SearchConfig(query_encoder=f"inference-free:{tables}")
    found = search(collection, SearchQuery(tokens={"apple": 1.0}), config)
    assert found.hits
    with pytest.raises(InputError, match="'appledore' is not in the vocabulary of 30522 terms"):
        search(collection, SearchQuery(tokens={"appledore": 1.0}), config)
