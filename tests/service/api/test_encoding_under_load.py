"""Searches whose queries a model encodes share its passes, and keep no other search waiting."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from lsr.corpus.readers.corpus import Corpus
from lsr.encoding.query_batches import QueryBatches
from service.api.app import create_app
from service.settings import ServerSettings
from tests.service.conftest import URL
from tests.waiting import wait_until

SECONDS = 120


@pytest.fixture
def folder(tmp_path, corpus, masked_lm, dense_model):
    """An index whose queries need a model, one that has a dense field too, one that needs none."""
    for name, fields in (
        ("model", encoder_fields(f"splade:{masked_lm}")),
        ("both", encoder_fields("bm25", dense=str(dense_model))),
        ("words", encoder_fields("bm25")),
    ):
        made = Collection.create(tmp_path / "all" / name, fields)
        index_documents(made, Corpus(str(corpus)))
        made.close()
    return tmp_path / "all"


class Held:
    """Holds the thread that encodes queries before each of its batches, as if they were long."""

    def __init__(self, monkeypatch):
        self.sizes, self.at_work, self.go_on = [], threading.Event(), threading.Event()
        whole = QueryBatches._encode

        def encode(batches, batch):
            self.sizes.append(len(batch))
            self.at_work.set()
            assert self.go_on.wait(SECONDS)
            whole(batches, batch)

        monkeypatch.setattr(QueryBatches, "_encode", encode)


def client_of(folder, **more):
    app = create_app(ServerSettings(paths=[folder], query_cache=0, deadline_ms=600_000, **more))
    return TestClient(app, base_url=URL)


def search(client, index, text, **more):
    return client.post(f"/v1/indexes/{index}/search", json={"query": {"text": text}, **more})


def counts(client):
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name.startswith("lsr_encoder")
    }


def test_searches_without_a_model_go_by_those_that_wait_for_one(folder, monkeypatch):
    with client_of(folder) as client, ThreadPoolExecutor(40) as pool:
        batches = client.app.state.indexes.batches
        before, held = batches.batches, Held(monkeypatch)
        first = pool.submit(search, client, "model", "first of all")
        assert held.at_work.wait(SECONDS)
        # More than there are threads for reads.
        waiting = [pool.submit(search, client, "model", f"number {n} waits") for n in range(20)]
        waiting += [pool.submit(search, client, "both", f"and {n} too") for n in range(10)]
        wait_until(lambda: batches.waiting == 30)
        for _ in range(20):
            assert search(client, "words", "cherry").json()["hits"][0]["id"] == "b"
        assert client.get("/v1/indexes/words/documents/a").status_code == 200
        assert not any(each.done() for each in (first, *waiting))
        assert counts(client)["lsr_encoder_waiting"] == 30
        held.go_on.set()
        answers = [each.result(SECONDS) for each in (first, *waiting)]
        assert {answer.status_code for answer in answers} == {200}
        # The one that was first; then those of one model, and those of the other.
        assert held.sizes == [1, 20, 10]
        found = counts(client)
        assert found["lsr_encoder_batches_total"] == before + 3
        assert found["lsr_encoder_waiting"] == found["lsr_encoder_refused_total"] == 0


def test_answers_are_those_of_a_search_alone(folder):
    texts = [f"{fruit} {number}" for fruit in ("cherry", "banana", "plum") for number in range(3)]
    with client_of(folder) as client, ThreadPoolExecutor(9) as pool:
        for index, more in (("model", {}), ("both", {"using": "dense"}), ("both", {})):
            found = list(
                pool.map(lambda text, i=index, m=more: search(client, i, text, **m), texts)
            )
            client.app.state.indexes.batches._rows.clear()
            for text, answer in zip(texts, found, strict=True):
                alone = search(client, index, text, **more).json()
                scores = {hit["id"]: hit["score"] for hit in alone["hits"]}
                assert {hit["id"]: hit["score"] for hit in answer.json()["hits"]} == pytest.approx(
                    scores, rel=1e-3
                )


def test_more_than_may_wait_are_told_to_come_again(folder, monkeypatch):
    with client_of(folder, encoder_queue=3) as client, ThreadPoolExecutor(40) as pool:
        batches, held = client.app.state.indexes.batches, Held(monkeypatch)
        first = pool.submit(search, client, "model", "first")
        assert held.at_work.wait(SECONDS)
        waiting = [pool.submit(search, client, "model", f"number {n}") for n in range(3)]
        wait_until(lambda: batches.waiting == 3)
        refused = search(client, "model", "too many")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"]["type"] == "busy"
        assert search(client, "words", "cherry").status_code == 200
        held.go_on.set()
        assert {each.result(SECONDS).status_code for each in (first, *waiting)} == {200}
        assert counts(client)["lsr_encoder_refused_total"] == 1
        assert search(client, "model", "too many").status_code == 200


def test_a_query_that_comes_again_needs_no_model(folder):
    with client_of(folder) as client:
        first = search(client, "model", "a red apple").json()
        before = counts(client)
        client.post("/v1/indexes/model/documents", json=[{"id": "n", "text": "grape"}])
        again = search(client, "model", "a red apple").json()
        after = counts(client)
        assert after["lsr_encoder_encoded_total"] == before["lsr_encoder_encoded_total"]
        assert after["lsr_encoder_kept_total"] == before["lsr_encoder_kept_total"] + 1
        scores = {hit["id"]: hit["score"] for hit in again["hits"]}
        for hit in first["hits"]:
            assert scores[hit["id"]] == pytest.approx(hit["score"])
