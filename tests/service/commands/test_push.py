"""`lsr push`, and the other commands on what it made: Qdrant's engine in a folder."""

import json
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.service.conftest import environment, write_jsonl

pytest.importorskip("qdrant_client")
pytest.importorskip("qdrant_edge")


@pytest.fixture
def fruit(lsr, tmp_path):
    texts = ("apple pie", "banana split", "cherry pie", "plum and apple")
    records = [{"id": f"f{n}", "text": text, "year": 2000 + n} for n, text in enumerate(texts)]
    source = write_jsonl(tmp_path / "fruit.jsonl", records)
    assert lsr("index", source, "--into", "fruit", "--encoder", "bm25").returncode == 0
    return f"qdrant-edge://{tmp_path}/there/fruit"


def hits(lsr, collection):
    found = json.loads(lsr("search", collection, "apple pie", "--json").stdout)
    return [(hit["id"], round(hit["score"], 5)) for hit in found["hits"]]


def test_a_collection_is_pushed_and_every_command_takes_its_address(lsr, fruit, tmp_path):
    first = lsr("push", "fruit", "--to", fruit)
    assert first.returncode == 0, first.stderr
    assert f"{fruit} holds 4 documents: 4 sent, 0 deleted" in first.stdout.decode()
    again = json.loads(lsr("push", "fruit", "--to", fruit, "--json").stdout)
    assert (again["to"], again["sent"], again["deleted"]) == (fruit, 0, 0)
    assert hits(lsr, fruit) == hits(lsr, "fruit")

    described = json.loads(lsr("info", fruit, "--json").stdout)
    assert described["documents"] == 4
    assert {each["key"] for each in described["metadata"]} == {"year"}
    exported = lsr("export", fruit, "--out", "out.jsonl", "--json")
    assert exported.returncode == 0, exported.stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4
    taken = json.loads(lsr("snapshot", fruit, "taken", "--json").stdout)
    assert (taken["documents"], taken["bytes"] > 0) == (4, True)

    deleted = json.loads(lsr("delete", fruit, "--filter", "year < 2001", "--json").stdout)
    assert (deleted["deleted"], deleted["documents"]) == (1, 3)
    refused = lsr("push", "fruit", "--to", fruit)
    assert (refused.returncode, b"was written to by itself" in refused.stderr) == (2, True)


def test_a_corpus_is_indexed_there(lsr, fruit, tmp_path):
    there = f"qdrant-edge://{tmp_path}/direct/fruit"
    for expected in (4, 0):
        done = lsr("index", "fruit.jsonl", "--into", there, "--encoder", "bm25", "--json")
        report = json.loads(done.stdout)
        assert (report["created"], report["collection"]) == (expected, there)
    assert hits(lsr, there) == hits(lsr, "fruit")
    write_jsonl(tmp_path / "fruit.jsonl", [{"id": "f0", "text": "apple pie"}])
    synced = json.loads(lsr("index", "fruit.jsonl", "--into", there, "--sync", "--json").stdout)
    assert (synced["updated"], synced["deleted"], synced["documents"]) == (1, 3, 1)
    other = lsr("index", "fruit.jsonl", "--into", there, "--encoder", "bm25,b=1")
    assert b"was built with sparse=" in other.stderr


def test_nothing_is_left_where_no_document_could_be_read(lsr, tmp_path):
    (tmp_path / "bad.jsonl").write_text("{}\n")
    there = f"qdrant-edge://{tmp_path}/bad/fruit"
    assert lsr("index", "bad.jsonl", "--into", there, "--encoder", "bm25").returncode == 1
    assert b"there is no collection at" in lsr("info", there).stderr


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["check", "ADDRESS"], "lsr push again verifies a copy"),
        (["restore", "taken", "ADDRESS"], "restore to a directory and lsr push that"),
        (["migrate", "ADDRESS"], "push its source anew"),
        (["push", "ADDRESS", "--to", "ADDRESS"], "name the directory of a collection"),
        (["bench", "recall", "ADDRESS", "--queries", "q"], "searches sparse fields exactly"),
        (["push", "fruit", "--to", "ADDRESS", "--alias", "now"], "has no aliases"),
        (["push", "fruit", "--to", "ADDRESS", "--shards", "2"], "has one shard"),
        (["push", "fruit", "--to", "elsewhere"], "is no address of Qdrant"),
        (["push", "fruit", "--to", "qdrant://k:s3cr3t@host/fruit"], "holds a key or a password"),
        (["push", "fruit", "--to", "qdrant://127.0.0.1:1/fruit"], "can't be reached"),
        (["search", "qdrant://127.0.0.1:1/fruit", "apple"], "can't be reached"),
        (["search", "qdrant-edge:///nowhere/fruit", "apple"], "push or index into it first"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(lsr, fruit, command, sentence):
    result = lsr(*[fruit if each == "ADDRESS" else each for each in command])
    told = result.stderr.decode()
    assert result.returncode in (1, 2)
    assert sentence in told
    assert told.startswith("Error: ")
    assert len(told.splitlines()) == 1
    assert "s3cr3t" not in told


@pytest.fixture
def server():
    """Answers as a server of Qdrant does, with a status and a body for every request."""
    answer = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(answer["body"]).encode()
            self.send_response(answer["status"])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            answer["key"] = self.headers.get("api-key")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        answer["address"] = f"qdrant://127.0.0.1:{served.server_port}/fruit"
        yield answer
        served.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (200, {"title": "qdrant", "version": "1.15.4"}, "is Qdrant 1.15.4; lsr needs 1.19.2"),
        (401, {"status": {"error": "Invalid api-key"}}, "refuses the key; set LSR_QDRANT_API_KEY"),
        (403, {"status": {"error": "Forbidden"}}, "refuses the key; set LSR_QDRANT_API_KEY"),
        (
            500,
            {"status": {"error": "Service internal error: No space left on device"}},
            "is full",
        ),
    ],
)
def test_what_a_server_refuses_is_told_in_one_sentence(
    lsr, fruit, server, monkeypatch, status, body, sentence
):
    server |= {"status": status, "body": body}
    monkeypatch.setenv("LSR_QDRANT_API_KEY", "s3cr3t")
    result = lsr("push", "fruit", "--to", server["address"])
    told = result.stderr.decode()
    assert server["key"] == "s3cr3t"
    assert sentence in told
    assert "s3cr3t" not in told
    assert told.startswith("Error: ")


KILLED = """
import os, signal, sys
import index.qdrant.source
from index.qdrant.edge_port import EdgePort
from service.cli import main

index.qdrant.source.DOCUMENTS_AT_ONCE = 100
write, calls = EdgePort.write, []

def counted(self, *arguments):
    calls.append(arguments)
    if len(calls) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(self, *arguments)

EdgePort.write = counted
main()
"""


def test_a_push_that_was_killed_goes_on(lsr, tmp_path):
    """With kill -9; what was committed is not sent again."""
    records = ({"id": f"d{n}", "text": f"word{n % 97} apple {n}"} for n in range(600))
    source = write_jsonl(tmp_path / "many.jsonl", records)
    assert lsr("index", source, "--into", "many", "--encoder", "bm25").returncode == 0
    there = f"qdrant-edge://{tmp_path}/there/many"
    command = [sys.executable, "-c", KILLED, "push", "many", "--to", there, "--quiet"]
    killed = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    report = json.loads(lsr("push", "many", "--to", there, "--json").stdout)
    assert report["documents"] == report["rows"] == 600
    assert 0 < report["sent"] < 600
    assert json.loads(lsr("push", "many", "--to", there, "--json").stdout)["sent"] == 0
    found, wanted = (
        json.loads(lsr("search", place, "word5", "--json").stdout) for place in (there, "many")
    )
    assert (found["total"], found["hits"][0]["id"]) == (wanted["total"], wanted["hits"][0]["id"])
