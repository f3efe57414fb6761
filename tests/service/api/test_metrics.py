"""What Prometheus reads is what was asked and what is there."""

import json
import subprocess
import sys
from typing import get_args

import pytest
from fastapi.testclient import TestClient
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from lsr.corpus.readers.corpus import Corpus
from service.api.app import create_app
from service.api.schemas.tasks import Kind
from service.settings import ServerSettings
from tests.service.conftest import ROOT, URL

SEARCH = "/v1/indexes/fruit/search"


@pytest.fixture
def collection(tmp_path, corpus):
    made = Collection.create(tmp_path / "all" / "fruit", encoder_fields("bm25"))
    index_documents(made, Corpus(str(corpus)))
    return made


@pytest.fixture
def client(collection):
    app = create_app(ServerSettings(paths=[collection.path.parent]))
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as opened:
        yield opened


def samples(client, parse=text_string_to_metric_families, **headers):
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse(answer.text)
        for sample in family.samples
    }


def requests(found):
    return {
        tuple(value for _, value in labels): count
        for (name, *labels), count in found.items()
        if name == "lsr_http_requests_total"
    }


def test_requests_are_counted_by_template_method_and_status(client):
    for text in ("cherry", "banana"):
        client.post(SEARCH, json={"query": {"text": text}})
    client.post(SEARCH, json={"query": {"text": ""}})
    for identifier in ("a", "b", "zzz", "x%2Fy"):
        client.get(f"/v1/indexes/fruit/documents/{identifier}")
    client.get("/nowhere/at/all")
    client.request("INVENTED", "/livez")
    client.get("/livez", headers={"Host": "elsewhere.example"})
    found = samples(client)
    search, document = "/v1/indexes/{index}/search", "/v1/indexes/{index}/documents/{id}"
    assert requests(found) == {
        ("POST", search, "200"): 2,
        ("POST", search, "422"): 1,
        ("GET", document, "200"): 2,
        ("GET", document, "404"): 2,
        ("GET", "other", "404"): 1,
        ("other", "/livez", "405"): 1,
        ("GET", "other", "421"): 1,
    }
    timed = "lsr_http_request_duration_seconds_count", ("method", "POST"), ("route", search)
    assert found[timed] == 3
    for stage in ("encode", "rank", "hits"):
        assert found["lsr_search_stage_seconds_count", ("stage", stage)] == 2


def test_a_failure_is_counted_as_the_client_sees_it(client, monkeypatch):
    monkeypatch.setattr(type(client.app.state.indexes), "describe_all", lambda self: 1 / 0)
    assert client.get("/v1/indexes").status_code == 500
    assert requests(samples(client))["GET", "/v1/indexes", "500"] == 1


def test_indexes_have_their_sizes_and_a_broken_one_is_down(client, collection):
    broken = collection.path.parent / "broken"
    broken.mkdir()
    (broken / "collection.sqlite").write_bytes(b"no store")
    client.post("/v1/indexes/fruit/documents", json=[{"id": "n", "text": "new fig"}])
    found, described = samples(client), collection.describe()
    assert found["lsr_index_documents", ("index", "fruit")] == 4 == described["documents"]
    for name in ("segments", "generation"):
        assert found[f"lsr_index_{name}", ("index", "fruit")] == described[name]
    assert found["lsr_index_bytes", ("index", "fruit")] > 0
    assert found["lsr_index_up", ("index", "fruit")] == 1
    assert found["lsr_index_up", ("index", "broken")] == 0
    assert ("lsr_index_documents", ("index", "broken")) not in found


def test_what_waits_and_what_is_refused_is_told(client):
    readers = client.app.state.readers
    readers.refused += 3
    found = samples(client)
    assert found["lsr_work_refused_total", ("kind", "read")] == 3
    assert found["lsr_work_running", ("kind", "read")] == 0
    assert found["lsr_work_waiting", ("kind", "write")] == 0
    assert samples(client)["lsr_work_refused_total", ("kind", "read")] == 3


def test_tasks_are_counted_by_kind_and_status(client):
    def told():
        return {
            (dict(labels)["kind"], dict(labels)["status"]): count
            for (name, *labels), count in samples(client).items()
            if name == "lsr_tasks"
        }

    kinds, waiting = set(get_args(Kind)), ("enqueued", "processing")
    assert told() == {(kind, status): 0 for kind in kinds for status in waiting}
    for _ in range(2):
        assert client.post("/v1/indexes/fruit/merge?wait=true").status_code == 200
    tasks = client.app.state.long_work.tasks
    tasks.cancel(tasks.enqueue("check", "none", {}).id)
    tasks.enqueue("none of these", "none", {})
    found = {labels: count for labels, count in told().items() if count}
    expected = {("merge", "succeeded"): 2, ("none of these", "enqueued"): 1}
    assert found == expected | {("check", "canceled"): 1}


def test_open_metrics_are_given_to_whom_accepts_them(client):
    accept = "application/openmetrics-text; version=1.0.0"
    plain, opened = client.get("/metrics"), client.get("/metrics", headers={"Accept": accept})
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert opened.headers["content-type"].startswith("application/openmetrics-text")
    assert samples(client, open_metrics, Accept=accept)["lsr_index_up", ("index", "fruit")] == 1


def test_metrics_can_be_turned_off(collection):
    app = create_app(ServerSettings(paths=[collection.path], metrics=False))
    with TestClient(app, base_url=URL) as client:
        assert client.post(SEARCH, json={"query": {"text": "fig"}}).status_code == 200
        answer = client.get("/metrics")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "this server was started without metrics"


WORKER = """
import json, sys
from service.api.metrics import Metrics, forget_worker
metrics = Metrics()
metrics.answered("GET", "/livez", 200, 0.001)
metrics.searched({"rank": 0.5})
class Work:
    running, waiting, refused = 2, 1, 3
metrics.sample("read", Work)
print(metrics.exposition("")[0].decode(), flush=True)
sys.stdin.readline()
print(metrics.exposition("")[0].decode(), flush=True)
"""


def test_workers_count_together(tmp_path, monkeypatch):
    import os

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    first, second = (
        subprocess.Popen(
            [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    )
    try:
        for process in (first, second):
            while not process.stdout.readline().startswith("lsr_work_refused_total"):
                pass
        told, _ = first.communicate("\n", timeout=120)
        found = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(told)
            for sample in family.samples
        }
    finally:
        for process in (first, second):
            process.kill()
            process.wait()
    assert found["lsr_http_requests_total", "GET", "/livez", "200"] == 2
    assert found["lsr_search_stage_seconds_count", "rank"] == 2
    assert found["lsr_work_running", "read"] == 4
    assert found["lsr_work_refused_total", "read"] == 6
    forgotten = subprocess.run(
        [
            sys.executable,
            "-c",
            f"from service.api.metrics import Metrics, forget_worker; forget_worker({first.pid});"
            "print(Metrics().exposition('')[0].decode())",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert 'lsr_work_running{kind="read"} 2.0' in forgotten
    assert json.dumps("/livez") in forgotten
