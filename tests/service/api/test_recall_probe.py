"""A share of approximate searches is repeated exactly; the recall is that of the two answers."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from index.search.recall import recall
from lsr.corpus.documents import Document
from lsr.corpus.items import given_items
from service.api import recall_probe as module
from service.api.app import create_app
from service.settings import ServerSettings
from tests.service.conftest import URL
from tests.waiting import wait_until

INDEX = "/v1/indexes/many"
WORDS = [f"w{number}" for number in range(60)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Documents in which approximate search with little effort misses some."""
    random = np.random.default_rng(0)
    made = Collection.create(tmp_path_factory.mktemp("probe") / "many", encoder_fields("bm25"))
    texts = [" ".join(random.choice(WORDS, size=random.integers(3, 30))) for _ in range(3000)]
    documents = [Document(f"d{number}", text) for number, text in enumerate(texts)]
    index_documents(made, given_items(documents))
    made.close()
    return made.path


def body(query, **more):
    return {"query": {"text": query}, "limit": 20, "with_payload": False, **more}


APPROXIMATE = {"params": {"mode": "approximate", "effort": 0.01}}
QUERIES = [" ".join(np.random.default_rng(n).choice(WORDS, size=12)) for n in range(12)]


def client_of(path, **settings):
    return TestClient(create_app(ServerSettings(paths=[path], **settings)), base_url=URL)


def hits(client, query, **more):
    answer = client.post(f"{INDEX}/search", json=body(query, **more)).json()
    return [(hit["id"], hit["score"]) for hit in answer["hits"]]


def samples(client, name):
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == name
    }


def test_recall_is_that_of_the_answers_and_their_exact_ones(path):
    """So small a collection loses nothing by itself: some of its hits are taken away."""
    with client_of(path, recall_probe=1) as client:
        assert "recall_probe" not in client.get(INDEX).json()
        exact = [hits(client, query) for query in QUERIES]
        kept = [found[: 3 + 2 * place] for place, found in enumerate(exact)]
        for query, found in zip(QUERIES[:6], kept, strict=False):
            hits(client, query, **APPROXIMATE)
            offer(client, query, found)
        expected = [*map(recall, exact[:6], kept), *(recall(each, each) for each in exact[:6])]
        wait_until(lambda: client.get(INDEX).json().get("recall_probe", {}).get("queries") == 12)
        told = client.get(INDEX).json()["recall_probe"]
        assert samples(client, "lsr_recall_probe_recall_count") == {("many",): 12}
        summed = samples(client, "lsr_recall_probe_recall_sum")
        assert summed["many",] == pytest.approx(sum(expected))
    assert told["recall"] == pytest.approx(np.mean(expected))
    assert 0 < told["recall"] < 1


def offer(client, query, found):
    """Have a search repeated that has found these only."""
    collection = client.app.state.indexes["many"]
    config = SearchConfig(limit=20, mode="approximate", effort=0.01)
    result = search(collection, SearchQuery(query), config)
    part = [hit for hit in result.hits if (hit.id, hit.score) in found]
    lossy = replace(result, hits=part, exact=False)
    revision = collection.view().revision
    client.app.state.searching._probe.offer(collection, revision, SearchQuery(query), config, lossy)


def test_exact_searches_and_those_with_another_order_are_not_repeated(path):
    with client_of(path, recall_probe=1) as client:
        probe = client.app.state.searching._probe
        for more in (
            {},
            {**APPROXIMATE, "sort": [{"key": "x"}]},
            {**APPROXIMATE, "group_by": "x"},
            {**APPROXIMATE, "rerank": {"model": "field:sparse"}},
        ):
            answer = client.post(f"{INDEX}/search", json=body(QUERIES[0], **more))
            assert answer.status_code == 200, answer.text
        assert probe._waiting.empty()
        assert "recall_probe" not in client.get(INDEX).json()


def test_nothing_is_repeated_while_a_request_is_at_work(path, monkeypatch):
    busy = threading.Event()
    busy.set()
    monkeypatch.setattr("service.api.monitoring.Monitoring.at_work", lambda self: busy.is_set())
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    with client_of(path, recall_probe=1) as client:
        for query in QUERIES:
            offer(client, query, [])
        skipped = samples(client, "lsr_recall_probe_skipped_total")
        # One is held by the probe's thread.
        assert skipped["full",] in (len(QUERIES) - 3, len(QUERIES) - 2)
        assert "recall_probe" not in client.get(INDEX).json()
        busy.clear()
        wait_until(lambda: "recall_probe" in client.get(INDEX).json())


def test_what_has_waited_too_long_is_given_up(path, monkeypatch):
    monkeypatch.setattr("service.api.monitoring.Monitoring.at_work", lambda self: True)
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.05)
    with client_of(path, recall_probe=1) as client:
        offer(client, QUERIES[0], [])
        wait_until(lambda: samples(client, "lsr_recall_probe_skipped_total")["busy",] == 1)


def test_an_index_that_has_changed_is_not_compared_with_what_it_was(path, monkeypatch):
    busy = threading.Event()
    busy.set()
    monkeypatch.setattr("service.api.monitoring.Monitoring.at_work", lambda self: busy.is_set())
    with client_of(path, recall_probe=1) as client:
        offer(client, QUERIES[0], [])
        client.post(f"{INDEX}/documents", json=[{"id": "new", "text": "w1 w2"}])
        busy.clear()
        wait_until(lambda: samples(client, "lsr_recall_probe_skipped_total")["changed",] == 1)
        assert "recall_probe" not in client.get(INDEX).json()


def test_workers_and_later_servers_have_what_one_has_found(path, tmp_path):
    state = tmp_path / "state.sqlite"
    with client_of(path, recall_probe=1, state=state) as client:
        hits(client, QUERIES[0], **APPROXIMATE)
        wait_until(lambda: "recall_probe" in client.get(INDEX).json())
        with client_of(path, recall_probe=1, state=state) as other:
            assert other.get(INDEX).json() == client.get(INDEX).json()
    with client_of(path, recall_probe=1, state=state) as later:
        assert later.get(INDEX).json()["recall_probe"]["queries"] == 1


def test_days_gone_by_do_not_count(path, tmp_path, monkeypatch):
    state = tmp_path / "state.sqlite"
    with client_of(path, recall_probe=1, state=state) as client:
        hits(client, QUERIES[0], **APPROXIMATE)
        wait_until(lambda: "recall_probe" in client.get(INDEX).json())
        now = module._hour()
        monkeypatch.setattr(module, "_hour", lambda: now + module.KEPT_HOURS)
        assert "recall_probe" not in client.get(INDEX).json()
        hits(client, QUERIES[1], **APPROXIMATE)
        wait_until(lambda: "recall_probe" in client.get(INDEX).json())
        rows = client.app.state.database.rows("SELECT hour FROM recall_probes")
        assert [row["hour"] for row in rows] == [now + module.KEPT_HOURS]


def test_it_can_be_turned_off(path):
    with client_of(path, recall_probe=0) as client:
        hits(client, QUERIES[0], **APPROXIMATE)
        assert "recall_probe" not in client.get(INDEX).json()
