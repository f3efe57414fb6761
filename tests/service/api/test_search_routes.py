"""Batches, explanations and more like this over REST: what the pipeline answers, and no other."""

import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from index.search.config import SearchConfig
from index.search.explanation import explain_document
from index.search.pipeline import search
from index.search.query import SearchQuery
from service.api.app import create_app
from service.settings import ServerSettings
from tests.index.conftest import items
from tests.service.api.test_app import error
from tests.service.conftest import URL

FRUIT = "/v1/indexes/fruit"
SEARCH, BATCH, EXPLAIN = f"{FRUIT}/search", f"{FRUIT}/search/batch", f"{FRUIT}/explain"
TEXTS = {
    "a": "apple banana", "b": "owls hunt mice at night", "c": "fig and banana",
    "7": "mice sleep at night", "d": "apple fig plum",
}  # fmt: skip


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    made = Collection.create(
        tmp_path_factory.mktemp("searches") / "fruit", encoder_fields("bm25", bm25=False)
    )
    index_documents(made, items(TEXTS))
    return made


@pytest.fixture(scope="module")
def client(collection):
    with TestClient(create_app(ServerSettings(paths=[collection.path])), base_url=URL) as opened:
        yield opened


def bare(answer):
    """An answer without what differs from time to time."""
    answer = {key: value for key, value in answer.items() if key not in ("took_ms", "cursor")}
    answer["meta"] = {key: value for key, value in answer["meta"].items() if key != "stages_ms"}
    return answer


def test_a_batch_answers_each_search_as_by_itself(client):
    searches = [
        {"query": "banana"},
        {"query": {"text": "night"}, "limit": 1, "explain": True},
        {"query": "mice"},
        {"query": {"like": "a"}, "with_payload": True},
        {"query": "apple", "facets": ["x"], "highlight": False},
        {"query": "zebra"},
        {"query": {"tokens": {"fig": 1.0}}},
    ]
    answers = client.post(BATCH, json={"searches": searches}).json()["answers"]
    assert len(answers) == len(searches)
    for body, answer in zip(searches, answers, strict=True):
        assert bare(answer) == bare(client.post(SEARCH, json=body).json())
    cursor = client.post(SEARCH, json={"query": "banana", "limit": 1}).json()["cursor"]
    pages = [{"query": "banana", "limit": 1, "cursor": cursor}] * 2
    found = client.post(BATCH, json={"searches": pages}).json()["answers"]
    assert [[hit["id"] for hit in page["hits"]] for page in found] == [["c"], ["c"]]


def test_a_mistake_in_a_batch_spoils_itself_only(client):
    searches = [
        {"query": "banana"},
        {"query": ""},
        {"query": "banana", "limt": 3},
        {"query": "banana", "limit": 0},
        {"query": {"like": "nobody"}},
        {"query": "banana", "using": "dense"},
        7,
        {"query": "owls"},
    ]
    answer = client.post(BATCH, json={"searches": searches})
    assert answer.status_code == 200
    answers = answer.json()["answers"]
    codes = [each["error"]["code"] if "error" in each else 200 for each in answers]
    assert codes == [200, 422, 422, 422, 404, 400, 422, 200]
    for body, each in zip(searches, answers, strict=True):
        if "error" in each:
            alone = client.post(SEARCH, json=body).json()["error"]
            told = each["error"]
            assert (told["code"], told["type"]) == (alone["code"], alone["type"])
            assert told["request_id"] == answer.headers["X-Request-ID"]
            if body != 7:
                assert told["message"] == alone["message"]
    for wrong in ({"searches": []}, {}, {"searches": [{"query": "a"}] * 101}, {"searches": {}}):
        error(client.post(BATCH, json=wrong), 422, "invalid_request")


def test_an_explanation_is_what_the_pipeline_says(client, collection):
    body = {"id": "c", "query": "apple fig banana night"}
    answer = client.post(EXPLAIN, json=body).json()
    expected = explain_document(collection, SearchQuery(body["query"]), "c")
    assert (answer["rank"], answer["score"]) == (expected.rank, expected.hit.score)
    assert answer["sentence"] == expected.sentence
    search_body = {"query": body["query"], "explain": True}
    hits = client.post(SEARCH, json=search_body).json()["hits"]
    (hit,) = [hit for hit in hits if hit["id"] == "c"]
    assert answer["terms"] == hit["terms"]
    assert {term["token"] for term in answer["missing"]["sparse"]} == {"night", "appl"}
    other = client.post(EXPLAIN, json={"id": 7, "query": "apple", "filter": "x = 1"}).json()
    assert "rank" not in other
    assert not other["passes_filter"]
    error(client.post(EXPLAIN, json=body | {"id": "nobody"}), 404, "not_found")
    error(client.post(EXPLAIN, json=body | {"limit": 3}), 422, "invalid_request")
    error(client.post(EXPLAIN, json=body | {"depth": 0}), 422, "invalid_input")


def test_more_like_a_document(client, collection):
    for like in ("b", ["b", "a"], 7):
        hits = client.post(SEARCH, json={"query": {"like": like}}).json()["hits"]
        ids = [str(each) for each in (like if isinstance(like, list) else [like])]
        expected = search(collection, SearchQuery(like=ids), SearchConfig())
        assert [hit["id"] for hit in hits] == [hit.id for hit in expected.hits] != []
        assert set(ids).isdisjoint(hit["id"] for hit in hits)
    error(client.post(SEARCH, json={"query": {"like": "x"}}), 404, "not_found")
    error(client.post(SEARCH, json={"query": {"like": "b", "text": "a"}}), 422, "invalid_input")
    error(client.post(SEARCH, json={"query": {"like": []}}), 422, "invalid_input")
    error(client.post(SEARCH, json={"query": {"like": {"id": 1}}}), 422, "invalid_request")
