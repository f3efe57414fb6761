import re
import signal
import subprocess
import sys
from urllib.parse import quote

import httpx
import pytest

from tests.service.conftest import environment


@pytest.fixture
def server(tmp_path, lsr, corpus):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "service.cli", "serve", "fruit", "--port", "0"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    address = None
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            address = found.group()
            break
    yield address, process
    process.kill()
    process.wait()


def test_serves_on_loopback_and_stops_on_sigterm(server):
    address, process = server
    transport = httpx.HTTPTransport(retries=8)
    with httpx.Client(base_url=address, transport=transport, timeout=60) as client:
        assert client.get("/readyz").json() == {"status": "ok"}
        answer = client.post("/v1/indexes/fruit/search", json={"query": {"text": "cherry"}})
        assert [hit["id"] for hit in answer.json()["hits"]] == ["b"]
        written = client.post("/v1/indexes/fruit/documents", json=[{"id": "n", "text": "new fig"}])
        assert written.json()["items"][0]["status"] == 201
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == -signal.SIGTERM
    assert "Traceback" not in process.stderr.read()


def test_an_id_that_looks_escaped_has_an_address(server):
    address, _ = server
    transport = httpx.HTTPTransport(retries=8)
    with httpx.Client(base_url=address, transport=transport, timeout=60) as client:
        documents = "/v1/indexes/fruit/documents"
        ids = ["a%2Fb", "%0A", "%25", "new\nline", "x/y"]
        client.post(documents, json=[{"id": name, "text": "fig"} for name in ids])
        for name in ids:
            assert client.get(f"{documents}/{quote(name, safe='')}").json()["id"] == name
            assert client.delete(f"{documents}/{quote(name, safe='')}").json()["ids"] == [name]


def test_a_port_in_use_is_one_sentence(server, lsr_process):
    address, _ = server
    result = lsr_process("serve", "fruit", "--port", address.rsplit(":", 1)[1])
    assert "choose another with --host and --port" in result.stderr.decode()
    assert result.returncode == 2


def test_written_documents_survive_kill_9(server, lsr):
    address, process = server
    transport = httpx.HTTPTransport(retries=8)
    with httpx.Client(base_url=address, transport=transport, timeout=60) as client:
        for number in range(20):
            body = [{"id": f"n{number}", "text": f"fig number {number}"}]
            assert client.post("/v1/indexes/fruit/documents", json=body).status_code == 200
    process.kill()
    process.wait()
    found = lsr("search", "fruit", "fig", "-n", "50", "--json").stdout.decode()
    assert all(f'"n{number}"' in found for number in range(20))
