"""Rewriting and contexts over REST."""

import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from lsr.corpus.readers.corpus import Corpus
from service.api.app import create_app
from service.settings import ServerSettings
from tests.service.conftest import URL

SEARCH = "/v1/indexes/fruit/search"


@pytest.fixture
def client(tmp_path, corpus):
    made = Collection.create(tmp_path / "all" / "fruit", encoder_fields("bm25"))
    index_documents(made, Corpus(str(corpus)))
    with TestClient(create_app(ServerSettings(paths=[made.path])), base_url=URL) as opened:
        yield opened


def test_a_misspelled_query_is_corrected_and_told(client):
    body = {"query": {"text": "bannaa"}, "rewrite": ["spelling"]}
    answer = client.post(SEARCH, json=body).json()
    assert [hit["id"] for hit in answer["hits"]] == ["a", "b"]
    assert answer["meta"]["rewritten"] == {
        "queries": ["banana"],
        "notes": ["no document has 'bannaa'; searched was 'banana'"],
    }
    assert "rewrite" in answer["meta"]["stages_ms"]


def test_passages_are_handed_on(client):
    body = {"query": {"text": "banana"}, "context_tokens": 100}
    context = client.post(SEARCH, json=body).json()["context"]
    passage = context["passages"][0]
    assert (passage["number"], passage["id"]) == (1, "a")
    assert context["text"].startswith("[1] ")
    assert context["tokens"] <= 100


@pytest.mark.parametrize(
    "members",
    [
        {"rewrite": ["magic"]},
        {"rewrite": ["queries"]},  # no endpoint in the environment
        {"rewrite": ["spelling"] * 5},
        {"rewrite": "spelling"},
        {"context_tokens": 0},
        {"context_tokens": 100, "with_payload": False},
    ],
)
def test_what_cannot_be_done_is_refused(client, members, monkeypatch):
    monkeypatch.delenv("LSR_CHAT_URL", raising=False)
    answer = client.post(SEARCH, json={"query": {"text": "banana"}} | members)
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["error"]["message"]
