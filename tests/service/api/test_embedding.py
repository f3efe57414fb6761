"""`/v1/embed_sparse`: the vectors of the encoder itself, and products that are scores."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from service.api.app import create_app
from service.settings import ServerSettings
from tests.index.conftest import items
from tests.service.api.test_app import error
from tests.service.conftest import URL

TEXTS = {"a": "apple banana", "b": "owls hunt mice at night", "c": "banana banana fig"}
EMBED = "/v1/embed_sparse"


@pytest.fixture(scope="module")
def collection(tmp_path_factory, masked_lm):
    made = Collection.create(
        tmp_path_factory.mktemp("embed") / "fruit", encoder_fields(str(masked_lm), bm25=True)
    )
    index_documents(made, items(TEXTS))
    return made


@pytest.fixture(scope="module")
def client(collection):
    with TestClient(create_app(ServerSettings(paths=[collection.path])), base_url=URL) as opened:
        yield opened


def vectors(client, inputs, **members):
    answer = client.post(EMBED, json={"inputs": inputs} | members)
    assert answer.status_code == 200, answer.text
    return [{term["index"]: term["value"] for term in row} for row in answer.json()]


def test_documents_are_what_the_encoder_makes_of_them(client, collection):
    texts = list(TEXTS.values())
    field = collection.fields.named("sparse")
    encoded = collection.fields.encoder(field).encode_documents(texts)
    for kind in ({}, {"type": "document"}, {"prompt_name": "document"}, {"prompt_name": None}):
        rows = vectors(client, texts, truncate=True, truncation_direction="Right", **kind)
        for row, expected in zip(rows, encoded, strict=True):
            assert list(row) == expected.indices.tolist()
            np.testing.assert_allclose(list(row.values()), expected.values, rtol=1e-3, atol=1e-5)
    assert vectors(client, texts[0]) == [vectors(client, texts)[0]]
    assert client.post(f"{EMBED}?index=fruit", json={"inputs": "fig", "index": "fruit"}).is_success


@pytest.mark.parametrize("using", ["sparse", "bm25"])
def test_the_product_of_query_and_document_is_the_score(client, using):
    query = "banana fig owls"
    (asked,) = vectors(client, query, type="query", using=using)
    documents = vectors(client, list(TEXTS.values()), using=using)
    products = {
        name: sum(weight * row.get(term, 0) for term, weight in asked.items())
        for name, row in zip(TEXTS, documents, strict=True)
    }
    body = {"query": query, "using": using, "with_payload": False}
    for hit in client.post("/v1/indexes/fruit/search", json=body).json()["hits"]:
        assert products[hit["id"]] == pytest.approx(hit["score"], rel=0.01)


def test_terms_are_spelled_where_asked(client):
    answer = client.post(EMBED, json={"inputs": "fig", "using": "bm25", "tokens": True}).json()
    assert [[term["token"] for term in row] for row in answer] == [["fig"]]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"inputs": ""}, 422, "number 1 is empty"),
        ({"inputs": []}, 422, "at least 1"),
        ({"inputs": ["a", " "]}, 422, "number 2 is empty"),
        ({"inputs": ["a"] * 257}, 422, "at most 256"),
        ({"inputs": "a", "truncation_direction": "left"}, 422, "truncation_direction"),
        ({"inputs": "a", "prompt_name": "passage"}, 422, "prompt_name"),
        ({"inputs": "a", "type": "query", "prompt_name": "document"}, 422, "give one"),
        ({"inputs": "a", "index": "none"}, 404, "no index"),
        ({"inputs": "a", "using": "dense"}, 400, "no 'dense' field"),
        ({"inputs": "apple " * 2000}, 422, "longer than what the encoder reads"),
        ({"inputs": "a", "model": "x"}, 422, "'model' is not known here"),
    ],
)
def test_what_can_not_be_encoded_is_refused(client, body, status, reason):
    answer = client.post(EMBED, json=body)
    assert answer.status_code == status, answer.text
    assert reason in answer.json()["error"]["message"]


def test_texts_are_cut_only_where_that_is_allowed(client):
    assert vectors(client, "apple " * 2000, truncate=True)


def test_an_index_is_named_where_there_are_several(client, collection, tmp_path):
    folder = tmp_path / "several"
    for name in ("one", "two"):
        Collection.create(folder / name, encoder_fields("bm25", bm25=False)).close()
    with TestClient(create_app(ServerSettings(paths=[folder])), base_url=URL) as opened:
        assert "is not named" in error(opened.post(EMBED, json={"inputs": "a"}), 400, "bad_request")
        assert opened.post(f"{EMBED}?index=one", json={"inputs": "apple"}).json() == [[]]
        both = opened.post(f"{EMBED}?index=one", json={"inputs": "apple", "index": "two"})
        assert "give one" in error(both, 422, "invalid_input")
