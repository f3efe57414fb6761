"""A replica as a real server under load, while snapshots come: half-copied, damaged, sound."""

import contextlib
import shutil
import signal
import sys
import threading
import time

import httpx
import pytest
from fastapi.testclient import TestClient

from index.snapshots.address import snapshot_store
from lsr.trusted_code import NO_CODE
from service.api.app import create_app
from service.replica.copies import Copies
from service.replica.follower import Follower
from service.replica.state import Replica
from service.settings import ServerSettings
from tests.service.conftest import URL
from tests.service.serving import serving

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="waits for signals with a time limit"),
]
SEARCH = "/v1/indexes/docs/search"
BODY = {"query": {"text": "common words"}, "limit": 100}
QUICK = {"LSR_SERVE_FOLLOW_SECONDS": "0.1"}


class Load:
    """Clients that search all the time, each on a connection that it keeps; what they were told."""

    def __init__(self, address, clients=3):
        self.answers, self.failures = [], []
        self._address, self._stop = address, threading.Event()
        self._threads = [threading.Thread(target=self._search) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _search(self):
        with httpx.Client(base_url=self._address, timeout=60) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post(SEARCH, json=BODY)
                    assert answer.status_code == 200, answer.text
                    self.answers.append(answer.json())
                except (httpx.HTTPError, AssertionError) as error:
                    self.failures.append(repr(error))

    def snapshots(self):
        return {answer["meta"]["snapshot"] for answer in self.answers}

    def wait_for(self, snapshot):
        wait_until(lambda: self.failures or snapshot in self.snapshots())
        assert not self.failures


def check_whole(answers, publisher):
    """Every answer is of one published state from beginning to end, and none goes back."""
    for answer in answers:
        found = {hit["payload"]["metadata"]["state"] for hit in answer["hits"]}
        assert found == {publisher.states[answer["meta"]["snapshot"]]}
        assert len(answer["hits"]) == answer["meta"]["documents"] == publisher.documents
        texts = {mark["snippet"] for hit in answer["hits"] for mark in hit["highlights"]}
        assert texts == {f"common words of every state, number {found.pop()}"}


def wait_until(condition):
    """As of ``tests.waiting``, and longer: each state has processes that begin anew."""
    end = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def only_others(folder, names):
    return {"snapshot.sqlite"} & set(names)


def ready(client):
    with contextlib.suppress(httpx.TransportError):
        return client.get("/readyz").status_code == 200
    return False


def test_no_answer_is_of_a_half_copied_or_damaged_state(publisher, tmp_path):
    arguments = ["copies", "--follow", "published", "--workers", "2"]
    publisher.folder.mkdir(parents=True)
    with serving(tmp_path, *arguments, **QUICK) as (client, server):
        # Nothing is there to answer from.
        wait_until(lambda: "no snapshot has been copied yet" in client.get("/readyz").text)
        assert client.get("/readyz").status_code == 503
        assert client.post(SEARCH, json=BODY).status_code == 404
        first = publisher.publish()
        wait_until(lambda: ready(client))
        with Load(client.base_url) as load:
            load.wait_for(first)
            # One of which the half is there, with a manifest that names all of it.
            whole = publisher.aside()
            half, store = whole.name, publisher.folder / whole.name / "snapshot.sqlite"
            store.parent.mkdir()
            store.write_bytes((whole / store.name).read_bytes()[:4096])
            shutil.copytree(whole, store.parent, ignore=only_others, dirs_exist_ok=True)
            # One that is as long as it should be, and damaged.
            other = publisher.aside()
            (segment,) = (other / "segments").iterdir()
            content = bytearray(segment.read_bytes())
            content[len(content) // 2] ^= 0xFF
            segment.write_bytes(content)
            damaged = other.name
            shutil.copytree(other, publisher.folder / damaged)
            passed_over = [f"the snapshot docs/{name} is passed over" for name in (half, damaged)]
            wait_until(lambda: all(line in server.err for line in passed_over))
            # Now the half is made whole: it is newer than what answers.
            shutil.copy(whole / store.name, store)
            load.wait_for(half)
        assert load.failures == []
        check_whole(load.answers, publisher)
        assert load.snapshots() == {first, half}
        assert f"the snapshot docs/{half} is passed over: snapshot.sqlite is not all" in server.err
        # On a connection that was open, one answer more may come from the state before.
        client.get("/livez")
        ready_now = client.get("/readyz").json()
        assert ready_now["snapshots"]["docs"]["name"] == half
        metrics = client.get("/metrics").text
        assert f'lsr_replica_snapshot_info{{index="docs",snapshot="{half}"}} 1.0' in metrics
        # The workers of the states before are gone, and so are their copies.
        copies = tmp_path / "copies" / "docs"
        wait_until(lambda: [path.name for path in copies.iterdir()] == [half])
        last = publisher.publish()
        # It is killed while it copies.
        wait_until(lambda: any(path.name != half for path in copies.iterdir()))
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    publisher.folder.parent.rename(tmp_path / "away")
    # The store is away, and one copy may be half there: the newest good one answers.
    with serving(tmp_path, *arguments, **QUICK) as (client, server):
        wait_until(lambda: ready(client))
        with Load(client.base_url) as load:
            wait_until(lambda: len(load.answers) > 20 or load.failures)
            assert client.get("/readyz").json()["status"] == "degraded"
            assert load.snapshots() <= {half, last}
            (tmp_path / "away").rename(publisher.folder.parent)
            load.wait_for(last)
        assert load.failures == []
        check_whole(load.answers, publisher)
        assert server.stop() == -signal.SIGTERM


def test_a_replica_refuses_writes_and_says_where_to(publisher, tmp_path):
    name = publisher.publish()
    copies = Copies(tmp_path / "copies")
    assert Follower(snapshot_store(publisher.address), copies, NO_CODE).look()
    state, writer = copies.newest(), "https://writer.example.org"
    settings = ServerSettings(paths=[copy.path for copy in state.values()])
    app = create_app(settings, replica=Replica(copies.folder, state, writer))
    with TestClient(app, base_url=URL) as client:
        index = "/v1/indexes/docs"
        for method, path, body in (
            ("POST", f"{index}/documents", [{"id": "x", "text": "y"}]),
            ("POST", f"{index}/documents/delete", {"ids": ["d1"]}),
            ("PATCH", f"{index}/documents/d1", {"text": "y"}),
            ("DELETE", f"{index}/documents/d1", None),
            ("PUT", "/v1/indexes/new", {"encoder": "bm25"}),
            ("PATCH", index, {"search_defaults": {}}),
            ("DELETE", index, None),
            ("POST", f"{index}/import", {"source": "x"}),
            ("POST", f"{index}/reencode", {"encoder": "bm25"}),
            ("POST", f"{index}/merge", None),
            ("POST", f"{index}/restore", {"snapshot": "x"}),
        ):
            answer = client.request(method, path, json=body)
            assert answer.status_code == 409, (method, path, answer.text)
            assert answer.json()["error"]["message"].endswith(f"takes no writes; write to {writer}")
        assert client.get(f"{index}/documents/d1").json()["metadata"] == {"state": 1}
        assert client.get(index).json()["snapshot"] == name
        (listed,) = client.get("/v1/indexes").json()["indexes"]
        assert listed["snapshot"] == name
        batch = client.post(f"{index}/search/batch", json={"searches": [BODY, BODY]}).json()
        assert {answer["meta"]["snapshot"] for answer in batch["answers"]} == {name}
        # An alias is the server's own, and so is a key.
        assert client.put("/v1/aliases/live", json={"index": "docs"}).status_code == 201
        answer = client.post("/v1/indexes/live/search", json=BODY).json()
        assert answer["meta"]["snapshot"] == name


def test_what_cannot_be_followed_is_one_sentence(lsr, tmp_path):
    for arguments, sentence in (
        ((), "has one path: the folder to copy them to"),
        (("a", "b"), "has one path: the folder to copy them to"),
        (("a", "--follow", "s3://k:secret@x"), "holds a name or password"),
    ):
        given = arguments if "--follow" in arguments else (*arguments, "--follow", "published")
        done = lsr("serve", *given)
        assert done.returncode == 2, done.stderr
        assert sentence in done.stderr.decode()
        assert "secret" not in done.stderr.decode()
    assert (
        "writer is for a server that follows" in lsr("serve", "a", "--writer", "x").stderr.decode()
    )
