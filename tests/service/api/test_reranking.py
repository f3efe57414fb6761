"""Re-ranking over REST: by models that the server was started with, and by no others."""

import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from index.search.reranking import Reranking
from lsr.corpus.readers.corpus import Corpus
from lsr.errors import InputError, NotFoundError, UsageError
from service.api.app import create_app
from service.api.rerankers import ServedRerankers
from service.settings import ServerSettings
from tests.lsr.rerankers.cross_encoders import save_cross_encoder
from tests.service.api.test_app import error
from tests.service.conftest import URL

SEARCH = "/v1/indexes/fruit/search"


@pytest.fixture
def collection(tmp_path, corpus):
    made = Collection.create(tmp_path / "all" / "fruit", encoder_fields("bm25"))
    index_documents(made, Corpus(str(corpus)))
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_cross_encoder(tmp_path_factory.mktemp("cross") / "mine")


@pytest.fixture
def client(collection, model):
    app = create_app(ServerSettings(paths=[collection.path], reranker=[str(model)]))
    with TestClient(app, base_url=URL) as opened:
        yield opened


def test_it_answers_what_the_pipeline_answers(client, collection, model):
    asked = {"model": "mine", "depth": 2, "weight": 0.5, "time_budget_ms": 60_000}
    body = {"query": {"text": "banana cherry"}, "rerank": asked}
    answer = client.post(SEARCH, json=body).json()
    rerank = Reranking(str(model), 2, 60_000, 0.5)
    expected = search(collection, SearchQuery("banana cherry"), SearchConfig(rerank=rerank))
    found = [(hit["id"], hit["score"], hit["scores"]) for hit in answer["hits"]]
    assert found == [
        (hit.id, pytest.approx(hit.score), pytest.approx(hit.scores)) for hit in expected.hits
    ]
    assert set(answer["hits"][0]["scores"]) == {"sparse", "rerank"}
    assert answer["meta"]["reranked"] == {
        "model": "mine",
        "fingerprint": expected.reranked.fingerprint,
        "documents": 2,
        "wanted": 2,
        "time_budget_ms": 60_000,
        "sentence": "re-ranked 2 by mine",
    }
    assert "rerank" in answer["meta"]["stages_ms"]
    plain = client.post(SEARCH, json={"query": {"text": "banana cherry"}}).json()
    assert "reranked" not in plain["meta"]


def test_a_field_needs_no_model(client):
    body = {"query": {"text": "banana cherry"}, "rerank": {"model": "field:sparse"}}
    answer = client.post(SEARCH, json=body).json()
    assert all(hit["scores"]["rerank"] == hit["score"] for hit in answer["hits"])
    body["rerank"]["model"] = "field:title"
    assert "'title' field" in error(client.post(SEARCH, json=body), 400, "bad_request")


@pytest.mark.parametrize(
    "name", ["other", "", "ms-marco-minilm-l6", "dense:mine", "/etc/passwd", "../mine", "é" * 9000]
)
def test_no_request_makes_the_server_load_a_model(client, model, name):
    body = {"query": {"text": "banana"}, "rerank": {"model": name}}
    message = error(client.post(SEARCH, json=body), 422, "invalid_input")
    assert "allowed are mine, field:NAME" in message
    assert str(model.parent) not in message
    # Nor does the path of one that is served name it.
    body["rerank"]["model"] = str(model)
    error(client.post(SEARCH, json=body), 422, "invalid_input")


@pytest.mark.parametrize(
    "change", [{"depth": 0}, {"depth": 5000}, {"weight": 0}, {"time_budget_ms": -1}]
)
def test_settings_out_of_range_are_refused(client, change):
    body = {"query": {"text": "banana"}, "rerank": {"model": "mine"} | change}
    assert "re-ranking" in error(client.post(SEARCH, json=body), 422, "invalid_input")


def test_the_server_does_not_start_with_what_it_cant_use(
    collection, model, tmp_path, masked_lm, monkeypatch
):
    with pytest.raises(NotFoundError, match="does not exist"):
        create_app(ServerSettings(paths=[collection.path], reranker=[str(tmp_path / "none")]))
    with pytest.raises(InputError, match="lacks"):
        create_app(ServerSettings(paths=[collection.path], reranker=[str(masked_lm)]))
    again = save_cross_encoder(tmp_path / "mine")
    with pytest.raises(UsageError, match="two re-rankers are called 'mine'"):
        ServedRerankers([str(model), str(again)])
    monkeypatch.chdir(model.parent)
    for name in ("mine", "./mine", "cross-encoder:./mine"):
        served = ServedRerankers([name])
        assert served.named(name.replace("./", "")).endswith(str(model))
    assert ServedRerankers([str(model), str(model)]).named("mine") == str(model)
