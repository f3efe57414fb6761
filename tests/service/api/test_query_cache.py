"""Answers that are kept are those that would be given, and go with any write."""

import json
import multiprocessing
import threading

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents, upsert_documents
from lsr.corpus.documents import Document
from lsr.corpus.readers.corpus import Corpus
from service.api.app import create_app
from service.api.query_cache import LARGEST_SHARE, OVERHEAD, QueryCache
from service.settings import ServerSettings
from tests.service.conftest import URL

SEARCH = "/v1/indexes/fruit/search"


@pytest.fixture
def collection(tmp_path, corpus):
    made = Collection.create(tmp_path / "fruit", encoder_fields("bm25"))
    index_documents(made, Corpus(str(corpus)))
    yield made
    made.close()


def client_of(collection, **more):
    return TestClient(create_app(ServerSettings(paths=[collection.path], **more)), base_url=URL)


@pytest.fixture
def client(collection):
    with client_of(collection) as opened:
        yield opened


def search(client, **body):
    answer = client.post(SEARCH, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def without_times(answer):
    meta = {key: each for key, each in answer["meta"].items() if key != "cached"}
    return answer | {"took_ms": 0, "meta": meta | {"stages_ms": {}}}


BODIES = [
    {"query": {"text": "banana cherry"}},
    {"query": {"text": "banana"}, "explain": True, "limit": 1},
    {"query": {"text": "zzz"}, "facets": ["url"], "filter": "url exists"},
    {"query": {"text": "plum"}, "with_payload": ["title"], "context_tokens": None},
    {"query": {"text": "banana"}, "group_by": "url", "sort": [{"key": "url"}]},
    {"query": {"text": "banana"}, "context_tokens": 50},
    {"query": {"text": "banana"}, "params": {"mode": "approximate"}},
]


@pytest.mark.parametrize("body", BODIES)
def test_the_answer_is_the_same_but_for_its_time(client, body):
    first, second = search(client, **body), search(client, **body)
    assert "cached" not in first["meta"]
    assert second["meta"]["cached"] is True
    assert second["meta"]["stages_ms"] == {}
    assert first["meta"]["stages_ms"] != {}
    assert without_times(first) == without_times(second)
    assert list(first) == list(second)


def test_other_bytes_are_another_request(client):
    search(client, query={"text": "banana"})
    assert "cached" not in search(client, query={"text": "banana "})["meta"]
    assert "cached" not in search(client, query={"text": "banana"}, limit=2)["meta"]


WRITES = {
    "a bulk": lambda client: client.post(
        "/v1/indexes/fruit/documents", json=[{"id": "n", "text": "banana"}]
    ),
    "a patch": lambda client: client.patch(
        "/v1/indexes/fruit/documents/a", json={"metadata": {"url": "other"}}
    ),
    "a deletion": lambda client: client.delete("/v1/indexes/fruit/documents/a"),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_makes_it_forget(client, write):
    before = search(client, query={"text": "banana"})
    assert search(client, query={"text": "banana"})["meta"]["cached"]
    assert WRITES[write](client).status_code == 200
    after = search(client, query={"text": "banana"})
    assert "cached" not in after["meta"]
    assert after["hits"] != before["hits"]
    assert search(client, query={"text": "banana"})["hits"] == after["hits"]


def write(path):
    collection = Collection.open(path)
    upsert_documents(collection, [Document("n", "banana banana")])
    collection.close()


def test_a_write_of_another_process_does_too(client, collection):
    search(client, query={"text": "banana"})
    writer = multiprocessing.get_context("spawn").Process(target=write, args=(collection.path,))
    writer.start()
    writer.join()
    assert writer.exitcode == 0
    after = search(client, query={"text": "banana"})
    assert "cached" not in after["meta"]
    assert "n" in [hit["id"] for hit in after["hits"]]


def test_an_index_made_anew_has_other_answers(client, collection, tmp_path):
    search(client, query={"text": "banana"})
    made = Collection.create(tmp_path / "new" / "fruit", encoder_fields("bm25"))
    upsert_documents(made, [Document("only", "banana")])
    # As many commits, and so the same revision.
    while made.view().revision < collection.view().revision:
        upsert_documents(made, [Document("only", f"banana {made.view().revision}")])
    made.close()
    collection.path.rename(tmp_path / "old")
    (tmp_path / "new" / "fruit").rename(collection.path)
    answer = search(client, query={"text": "banana"})
    assert "cached" not in answer["meta"]
    assert [hit["id"] for hit in answer["hits"]] == ["only"]


@pytest.mark.parametrize(
    "more",
    [
        {"params": {"mode": "approximate", "timeout_ms": 1e-9}},
        {"rewrite": ["spelling"]},
        {"rerank": {"model": "field:sparse", "time_budget_ms": 1e-9}},
    ],
)
def test_what_another_time_may_answer_otherwise_is_not_kept(client, more):
    body = {"query": {"text": "banana"}} | more
    for _ in range(2):
        assert "cached" not in search(client, **body)["meta"]


def test_refusals_are_not_kept(client):
    for _ in range(2):
        assert client.post(SEARCH, json={"query": {"text": ""}}).status_code == 422


def test_it_can_be_turned_off_and_is_counted(collection, client):
    for _ in range(3):
        search(client, query={"text": "banana"})
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }
    assert samples["lsr_query_cache_requests_total", "miss"] == 1
    assert samples["lsr_query_cache_requests_total", "hit"] == 2
    assert samples["lsr_query_cache_bytes",] > 0
    with client_of(collection, query_cache=0) as other:
        for _ in range(2):
            assert "cached" not in search(other, query={"text": "banana"})["meta"]


class Here:
    """What stands for a collection: only which one it is matters."""


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(0, 40), st.booleans()),
        max_size=60,
    )
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_it_never_holds_more_than_its_size_nor_answers_of_another_revision(steps):
    cache, here = QueryCache(4 * (OVERHEAD + 60)), Here()
    latest = {}
    for name, revision, length, keeps in steps:
        request = b"%d" % name
        if keeps:
            answer = json.dumps([name, revision, length]).encode()
            cache.keep(here, revision, request, answer)
            latest[request] = revision, answer
        else:
            found = cache.get(here, revision, request)
            assert found in (None, latest.get(request, (0, b""))[1])
            if found is not None:
                assert latest[request][0] == revision
        assert 0 <= cache.bytes <= 4 * (OVERHEAD + 60)
        assert len(cache._kept) <= 4


def test_those_go_that_were_not_asked_for_longest():
    size = int((OVERHEAD + 2) / LARGEST_SHARE)
    cache, here = QueryCache(size), Here()
    for name in b"abcdefgh":
        cache.keep(here, 1, bytes([name]), b"x")
    assert cache.get(here, 1, b"a") == b"x"
    cache.keep(here, 1, b"i", b"x")
    assert cache.get(here, 1, b"a") == b"x"
    assert cache.get(here, 1, b"b") is None
    cache.keep(here, 1, b"large", b"x" * OVERHEAD)
    assert cache.get(here, 1, b"large") is None
    assert cache.bytes == 8 * (OVERHEAD + 2)


def test_threads_may_use_it_at_once():
    cache, here = QueryCache(50_000), Here()
    failures = []

    def use(number):
        for step in range(3000):
            key = b"%d" % (step % 97)
            cache.keep(here, step % 3, key, b"%d:%d" % (step % 3, number))
            found = cache.get(here, 1, key)
            if found is not None and not found.startswith(b"1:"):
                failures.append(found)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert cache.bytes == sum(kept.size for kept in cache._kept.values()) <= 50_000
