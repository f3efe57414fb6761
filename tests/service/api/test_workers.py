"""Several processes that serve at one address."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from index.collection import segment
from index.collection.collection import Collection
from index.search.pipeline import search
from index.search.query import SearchQuery
from tests.service.conftest import environment
from tests.service.serving import serving
from tests.waiting import wait_until

pytestmark = pytest.mark.long


def children(process):
    found = Path(f"/proc/{process}/task/{process}/children").read_text()
    return sorted(map(int, found.split()))


def is_alive(process):
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def found_by(client, text):
    # A connection of its own: whichever worker takes it.
    body, close = {"query": {"text": text}}, {"Connection": "close"}
    answer = client.post("/v1/indexes/fruit/search", json=body, headers=close)
    return {hit["id"] for hit in answer.json()["hits"]}


def connections(client):
    """How many both workers have together; this request's own is one of them."""
    (line,) = re.findall(r"^lsr_http_connections (.*)$", client.get("/metrics").text, re.M)
    return float(line)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_serve_together_and_end_together(tmp_path, lsr, corpus):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    with serving(tmp_path, "fruit", "--workers", "2") as (client, server):
        assert client.get("/readyz").status_code == 200
        before = children(server.process.pid)
        assert len(before) == 2
        for number in range(6):
            document = {"id": f"n{number}", "text": f"quince{number}"}
            written = client.post("/v1/indexes/fruit/documents", json=[document])
            assert written.json()["items"][0]["status"] == 201
            assert all(found_by(client, f"quince{number}") == {f"n{number}"} for _ in range(4))
        counted = client.get("/metrics").text
        series = 'route="/v1/indexes/{index}/search"'
        assert any(
            line.endswith(" 24.0") and series in line and "_requests_total" in line
            for line in counted.splitlines()
        )
        wait_until(lambda: connections(client) == 1)
        port = client.base_url.port
        held = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(5)]
        wait_until(lambda: connections(client) == 1 + len(held))
        for each in held:
            each.close()
        wait_until(lambda: connections(client) == 1)
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: len(set(children(server.process.pid)) - {before[0]}) == 2)
        assert found_by(client, "quince3") == {"n3"}
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == -signal.SIGTERM
        wait_until(lambda: not any(map(is_alive, before)))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_when_nobody_looks_after_them(tmp_path, lsr, corpus):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    with serving(tmp_path, "fruit", "--workers", "2") as (client, server):
        assert client.get("/readyz").status_code == 200
        workers = children(server.process.pid)
        server.process.kill()
        server.process.wait(60)
        wait_until(lambda: not any(map(is_alive, workers)))


def test_workers_that_cannot_serve_are_one_sentence(tmp_path, lsr, corpus):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    command = [sys.executable, "-m", "service.cli", "serve", "fruit", "--port", "0"]
    done = subprocess.run(
        [*command, "--workers", "2", "--reranker", "missing-folder/x"],
        cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "the workers of the server can't serve" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_that_ends_again_and_again_is_given_up(tmp_path):
    # In a process of its own: this one has threads.
    code = (
        "import os, logging; logging.basicConfig()\n"
        "import service.api.workers as workers\n"
        "workers.PAUSE_SECONDS = 0.0\n"
        "workers.Workers(2, lambda place: os._exit(7), lambda place: print('ended')).run()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert "can't serve" in done.stderr.splitlines()[-1]
    assert "with status 7; another takes its place" in done.stderr
    assert done.stdout.count("ended") >= 6


def test_a_preloaded_segment_is_not_read_again(tmp_path, lsr, corpus, monkeypatch):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    with_file = Collection.open(tmp_path / "fruit")
    expected = search(with_file, SearchQuery("cherry")).hits[0].id
    with_file.preload()
    with_file.close()
    monkeypatch.setattr(segment, "read_segment", None)
    collection = Collection.open(tmp_path / "fruit")
    assert search(collection, SearchQuery("cherry")).hits[0].id == expected
    collection.close()
