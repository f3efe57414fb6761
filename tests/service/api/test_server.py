import re
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import quote

import httpx
import pytest

from tests.forked import Process
from tests.service.conftest import environment
from tests.service.serving import SECONDS, serving


@pytest.fixture
def fruit(tmp_path, lsr, corpus):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    return tmp_path


def begun(folder, begin=Process, python=()):
    """The address of a server of a process, and the process."""
    process = begin(
        [*python, "-m", "service.cli", "serve", "fruit", "--port", "0"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    address = None
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            address = found.group()
            break
    return address, process


@pytest.fixture
def server(fruit):
    address, process = begun(fruit)
    yield address, process
    process.kill()
    process.wait()


def test_serves_on_loopback_and_stops_on_sigterm(fruit):
    address, process = begun(fruit, subprocess.Popen, [sys.executable, "-u"])
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


def half_sent(client, body):
    """A connection over which a write has begun."""
    url = client.base_url
    opened = socket.create_connection((url.host, url.port), timeout=SECONDS)
    opened.sendall(
        f"POST /v1/indexes/fruit/documents HTTP/1.1\r\nHost: localhost:{url.port}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body[:10]
    )
    return opened


def until_refused(client):
    """Wait until the server takes no connections any more."""
    for _ in range(20 * SECONDS):
        try:
            socket.create_connection((client.base_url.host, client.base_url.port)).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    raise AssertionError("it goes on")


def test_a_request_in_flight_is_answered_before_the_server_ends(fruit):
    body = b'[{"id": "late", "text": "a late fig"}]'
    with serving(fruit, "fruit", LSR_SERVE_GRACE_SECONDS="100") as (client, served):
        assert client.get("/readyz").json() == {"status": "ok"}
        with half_sent(client, body) as opened:
            time.sleep(0.5)
            served.process.terminate()
            until_refused(client)
            opened.sendall(body[10:])
            answer = opened.recv(1 << 16)
        assert b" 200 OK" in answer.split(b"\r\n")[0]
        assert served.process.wait(SECONDS) == -signal.SIGTERM
    assert "Traceback" not in served.err


def test_a_request_that_does_not_end_is_not_waited_for_longer_than_said(fruit):
    with serving(fruit, "fruit", LSR_SERVE_GRACE_SECONDS="1") as (client, served):
        client.get("/readyz")
        with half_sent(client, b"[" + b" " * 1000):
            time.sleep(0.5)
            assert served.stop() in (-signal.SIGTERM, 128 + signal.SIGTERM)
