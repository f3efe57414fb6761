"""Long work over HTTP: imports, snapshots, restores, other encoders; watched and canceled."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from lsr.corpus.readers.corpus import Corpus
from service.state.database import StateDatabase
from service.state.tasks import Tasks
from tests.service.api.test_lifecycle import FRUIT, ids, refused, served
from tests.service.conftest import write_jsonl
from tests.waiting import wait_until

FIELDS = {"encoder": "bm25"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Of collections, and of files to import."""
    root = tmp_path_factory.mktemp("tasks")
    for name in ("served", "files", "secret"):
        (root / name).mkdir()
    return root


@pytest.fixture(scope="module")
def client(folders):
    settings = {
        "import_folders": [folders / "files"],
        "import_urls": ["http://127.0.0.1:0/never/"],
        "largest_import": 5000,
    }
    with served(folders / "served", **settings) as opened:
        yield opened


@pytest.fixture
def made(client, request):
    """The name of an index of this test."""
    name = request.node.name.partition("[")[0][:60]
    client.delete(f"/v1/indexes/{name}")
    assert client.put(f"/v1/indexes/{name}", json=FIELDS).status_code == 201
    client.post(f"/v1/indexes/{name}/documents", json=FRUIT)
    return name


def do(client, index, what, body=None, status="succeeded"):
    """The task, once it has ended."""
    answer = client.post(f"/v1/indexes/{index}/{what}?wait=true", json=body)
    assert answer.status_code == 200, answer.text
    task = answer.json()
    assert task["status"] == status, task
    assert client.get(f"/v1/tasks/{task['id']}").json() == task
    return task


def test_an_import_is_what_the_command_line_indexes(client, folders, made, tmp_path):
    file = write_jsonl(
        folders / "files" / "fruit.jsonl",
        [{"_id": "a", "text": "apple banana"}, {"key": 1}, {"_id": "new", "text": "plum"}],
    )
    task = do(client, made, "import", {"source": "fruit.jsonl"})
    assert (task["kind"], task["index"]) == ("import", made)
    result = task["result"]
    counts = {name: result[name] for name in ("created", "updated", "unchanged", "rejected")}
    assert counts == {"created": 1, "updated": 0, "unchanged": 1, "rejected": 1}
    (problem,) = result["problems"]
    assert problem.startswith("fruit.jsonl:2: ")
    expected = Collection.create(tmp_path / "expected", encoder_fields("bm25"))
    index_documents(
        expected,
        Corpus(str(write_jsonl(tmp_path / "first", FRUIT).rename(tmp_path / "first.jsonl"))),
    )
    index_documents(expected, Corpus(str(file)))
    assert Collection.open(folders / "served" / made).digest() == expected.digest()
    again = do(client, made, "import", {"source": str(file)})["result"]
    assert (again["created"], again["unchanged"], again["documents"]) == (0, 2, 3)
    whole = do(client, made, "import", {"source": ".", "include": ["*.jsonl"]})["result"]
    assert whole["documents"] == 3


def test_an_import_reads_no_other_file(client, folders, made):
    secret = write_jsonl(folders / "secret" / "fruit.jsonl", FRUIT)
    link, folder = folders / "files" / "link.jsonl", folders / "files" / "linked"
    beir = folders / "files" / "beir"
    beir.mkdir()
    (beir / "corpus.jsonl").symlink_to(secret)
    link.symlink_to(secret)
    folder.symlink_to(folders / "secret")
    try:
        for source in (
            str(secret), "../secret/fruit.jsonl", "link.jsonl", "linked/fruit.jsonl", "linked",
            "/etc/passwd", "..", "~/x", "corpus\0.jsonl", "x" * 4000, "irds:beir/scifact", "demo",
            "file:///etc/passwd", "-", "beir",
        ):  # fmt: skip
            answer = client.post(f"/v1/indexes/{made}/import", json={"source": source})
            assert answer.status_code in (400, 404), (source, answer.text)
            assert str(folders) not in answer.text.replace(source, "")
    finally:
        link.unlink()
        folder.unlink()
        (beir / "corpus.jsonl").unlink()
        beir.rmdir()


def test_an_import_has_an_end(client, folders, made):
    """Of its file's bytes, and of the texts in it: a small file may hold very long ones."""
    import gzip

    long = {"_id": "long", "text": "banana " * 2000}
    write_jsonl(folders / "files" / "long.jsonl", [long])
    with gzip.open(folders / "files" / "long.jsonl.gz", "wt") as stream:
        stream.write(json.dumps(long))
    for source in ("long.jsonl", "long.jsonl.gz"):
        task = do(client, made, "import", {"source": source}, status="failed")
        assert task["error"]["type"] == "invalid_input"
        assert "5000 bytes" in task["error"]["message"]
        assert str(folders) not in json.dumps(task)
    assert len(ids(client, made)) == 2


@contextmanager
def site(pages):
    """A web server of some pages by their paths; its port. A page that is a number redirects."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            page = pages.get(self.path)
            self.send_response(404 if page is None else 302 if isinstance(page, str) else 200)
            if isinstance(page, str):
                self.send_header("Location", page)
            self.end_headers()
            self.wfile.write(page if isinstance(page, bytes) else b"")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_addresses_are_imported_where_the_owner_allows_their_beginning(tmp_path):
    lines = b'{"_id": "x", "text": "banana"}\n'
    pages = {"/open/a.jsonl": lines, "/secret/a.jsonl": lines, "/open/out": "/secret/a.jsonl",
             "/open/in": "/open/a.jsonl", "/open/long.jsonl": lines * 1000}  # fmt: skip
    (tmp_path / "served").mkdir()
    with site(pages) as port:
        base = f"http://127.0.0.1:{port}"
        settings = {"import_urls": [f"{base}/open"], "largest_import": 10_000}
        with served(tmp_path / "served", **settings) as client:
            client.put("/v1/indexes/made", json=FIELDS)
            task = do(client, "made", "import", {"source": f"{base}/open/a.jsonl"})
            assert task["result"]["created"] == 1
            for address, reason in (
                ("/open/out", "does not import from"),
                ("/open/none.jsonl", "404"),
                ("/open/long.jsonl", "10000 bytes"),
            ):
                task = do(client, "made", "import", {"source": base + address}, status="failed")
                assert reason in task["error"]["message"]
            for address in (
                f"{base}/secret/a.jsonl", f"{base}/openly/a.jsonl",
                f"{base}/open/../secret/a.jsonl",
                f"{base}/open/%2e%2e/secret/a.jsonl", f"{base}/open/%252e%252e/secret/a.jsonl",
                f"http://x@127.0.0.1:{port}/open/a.jsonl", f"https://127.0.0.1:{port}/open/a.jsonl",
                f"http://127.0.0.1:{port + 1}/open/a.jsonl", f"http://127.0.0.1:{port}@x/open/",
                f"http://127.0.0.1.example:{port}/open/a.jsonl", "http://[/open/", "ftp://x/open",
                f"{base}/open/..\\secret", f"file://127.0.0.1:{port}/open/a.jsonl",
            ):  # fmt: skip
                answer = client.post("/v1/indexes/made/import", json={"source": address})
                assert answer.status_code == 400, (address, answer.text)
        assert not any((tmp_path / "served" / ".lsr" / "building").iterdir())


def test_a_server_imports_nothing_unless_its_owner_says_so(tmp_path):
    with served(tmp_path) as client:
        client.put("/v1/indexes/made", json=FIELDS)
        for source, setting in (("a.jsonl", "import_folders"), ("https://x.org/", "import_urls")):
            answer = client.post("/v1/indexes/made/import", json={"source": source})
            assert setting in refused(answer, 400, "bad_request")


def test_of_several_snapshots_the_newest_stay(client, made):
    for name in ("a", "b"):
        assert "deleted" not in do(client, made, "snapshots", {"name": name})["result"]
    client.post(f"/v1/indexes/{made}/documents", json=[{"id": "late", "text": "banana"}])
    kept = do(client, made, "snapshots", {"name": "c", "keep": 2})["result"]
    assert kept["deleted"] == ["a"]
    listed = client.get(f"/v1/indexes/{made}/snapshots").json()["snapshots"]
    assert [each["name"] for each in listed] == ["b", "c"]
    answer = client.post(f"/v1/indexes/{made}/snapshots", json={"keep": 0})
    refused(answer, 422, "invalid_request")


def test_a_snapshot_comes_back_under_a_new_name_and_in_place(client, made):
    body = {"name": "one"}
    task = do(client, made, "snapshots", body)
    assert (task["result"]["snapshot"], task["result"]["documents"]) == ("one", 2)
    refused(client.post(f"/v1/indexes/{made}/snapshots", json=body), 409, "conflict")
    (listed,) = client.get(f"/v1/indexes/{made}/snapshots").json()["snapshots"]
    assert (listed["name"], listed["documents"]) == ("one", 2)
    assert listed["bytes"] == task["result"]["bytes"]
    client.post(f"/v1/indexes/{made}/documents", json=[{"id": "late", "text": "banana"}])
    client.delete(f"/v1/indexes/{made}/documents/a")
    do(client, f"{made}-2", "restore", {"snapshot": "one", "of": made})
    assert set(ids(client, f"{made}-2")) == {"a", "b"}
    assert set(ids(client, made)) == {"b", "late"}
    answer = client.post(f"/v1/indexes/{made}/restore", json={"snapshot": "one"})
    assert "replace" in refused(answer, 409, "conflict")
    do(client, made, "restore", {"snapshot": "one", "replace": True})
    assert set(ids(client, made)) == {"a", "b"}
    client.post(f"/v1/indexes/{made}/documents", json=[{"id": "more", "text": "banana"}])
    assert set(ids(client, made)) == {"a", "b", "more"}
    client.delete(f"/v1/indexes/{made}")
    do(client, made, "restore", {"snapshot": "one"})
    assert set(ids(client, made)) == {"a", "b"}
    assert client.delete(f"/v1/indexes/{made}/snapshots/one").json()["deleted"] is True
    refused(client.delete(f"/v1/indexes/{made}/snapshots/one"), 404, "not_found")
    refused(client.post(f"/v1/indexes/{made}/restore", json={"snapshot": "one"}), 404, "not_found")
    answer = client.post(f"/v1/indexes/{made}/snapshots", json={"name": "../x"})
    refused(answer, 400, "bad_request")


def test_a_damaged_snapshot_leaves_the_index_as_it_is(client, folders, made):
    do(client, made, "snapshots", {"name": "one"})
    store = folders / "served" / ".lsr" / "snapshots" / made / "one" / "snapshot.sqlite"
    data = bytearray(store.read_bytes())
    data[len(data) // 2] ^= 1
    store.write_bytes(data)
    task = do(client, made, "restore", {"snapshot": "one", "replace": True}, status="failed")
    assert task["error"]["type"] == "corrupt"
    assert str(folders) not in json.dumps(task)
    assert len(ids(client, made)) == 2


def test_merge_and_check_tell_what_they_found(client, folders, made):
    assert do(client, made, "merge")["result"] == {"documents": 2, "segments": 1}
    checked = do(client, made, "check")["result"]
    assert (checked["documents"], checked["problems"]) == (2, [])
    (segment,) = (folders / "served" / made / "segments").iterdir()
    segment.write_bytes(segment.read_bytes()[:-1])
    checked = do(client, made, "check")["result"]
    assert checked["problems_found"] == len(checked["problems"]) > 0
    assert str(folders) not in json.dumps(checked)


def test_another_encoder_takes_the_place_of_one_while_documents_change(client, folders, made):
    """What is written meanwhile is in the new collection, and what is deleted is not."""
    text = "banana cherry " * 150
    many = [{"id": f"n{n}", "text": f"{text} {n}"} for n in range(120)]
    client.post(f"/v1/indexes/{made}/documents", json=many)
    expected = {"a", "b", *(each["id"] for each in many)}
    answer = client.post(f"/v1/indexes/{made}/reencode", json={"bm25": True})
    task = answer.json()
    assert answer.status_code == 202
    number = 0
    while client.get(f"/v1/tasks/{task['id']}").json()["status"] in ("enqueued", "processing"):
        number += 1
        answer = client.post(
            f"/v1/indexes/{made}/documents", json=[{"id": f"m{number}", "text": "plum"}]
        )
        expected |= {f"m{number}"} if answer.status_code == 200 else set()
        if client.delete(f"/v1/indexes/{made}/documents/n{number}").status_code == 200:
            expected -= {f"n{number}"}
        # The other process has the core too.
        time.sleep(0.02)
    task = client.get(f"/v1/tasks/{task['id']}").json()
    assert task["status"] == "succeeded", task
    fields = client.get(f"/v1/indexes/{made}").json()["fields"]
    assert [each["name"] for each in fields] == ["sparse", "bm25"]
    collection = Collection.open(folders / "served" / made)
    assert set(collection.ids()) == expected
    assert do(client, made, "check")["result"]["problems"] == []
    refused(
        client.post(f"/v1/indexes/{made}/reencode", json={"encoder": "/x"}), 422, "invalid_input"
    )


def test_tasks_are_listed_by_what_they_are(client, made):
    for _ in range(3):
        do(client, made, "merge")
    found = client.get("/v1/tasks", params={"index": made, "limit": 2}).json()
    rest = client.get("/v1/tasks", params={"index": made, "limit": 2, "cursor": found["cursor"]})
    assert len(found["tasks"]) == 2
    assert len(rest.json()["tasks"]) == 1
    assert "cursor" not in rest.json()
    everything = [*found["tasks"], *rest.json()["tasks"]]
    assert sorted((each["created"] for each in everything), reverse=True) == [
        each["created"] for each in everything
    ]
    assert client.get("/v1/tasks", params={"index": made, "kind": "check"}).json()["tasks"] == []
    client.put("/v1/aliases/listed", json={"index": made})
    assert len(client.get("/v1/tasks", params={"index": "listed"}).json()["tasks"]) == 3
    wanted = {"index": made, "status": ["failed", "succeeded"]}
    assert len(client.get("/v1/tasks", params=wanted).json()["tasks"]) == 3
    refused(client.get("/v1/tasks", params={"kind": "none"}), 422, "invalid_request")
    refused(client.get("/v1/tasks/none"), 404, "not_found")
    refused(client.delete("/v1/tasks/none"), 404, "not_found")
    refused(client.delete(f"/v1/tasks/{everything[0]['id']}"), 409, "conflict")


def test_a_task_is_canceled_where_it_waits_and_where_it_is(client, folders, made):
    """The first waits for the writer lock, and the second for the first."""
    do(client, made, "snapshots", {"name": "one"})
    body = {"snapshot": "one", "replace": True}
    with Collection.open(folders / "served" / made).writing():
        first = client.post(f"/v1/indexes/{made}/restore", json=body).json()
        second = client.post(f"/v1/indexes/{made}/merge").json()
        wait_until(lambda: client.get(f"/v1/tasks/{first['id']}").json()["status"] == "processing")
        canceled = client.delete(f"/v1/tasks/{second['id']}").json()
        assert canceled["status"] == "canceled"
        client.delete(f"/v1/tasks/{first['id']}")
        wait_until(lambda: client.get(f"/v1/tasks/{first['id']}").json()["status"] == "canceled")
    assert len(ids(client, made)) == 2


def test_the_tasks_of_a_deleted_index_do_not_bring_it_back(client, folders, made):
    do(client, made, "snapshots", {"name": "one"})
    first = client.post(f"/v1/indexes/{made}/restore", json={"snapshot": "one", "replace": True})
    while client.delete(f"/v1/indexes/{made}").status_code == 503:
        pass
    wait_until(lambda: "finished" in client.get(f"/v1/tasks/{first.json()['id']}").json())
    refused(client.get(f"/v1/indexes/{made}"), 404, "not_found")


def test_what_was_interrupted_begins_again_a_few_times(tmp_path):
    state = StateDatabase(tmp_path / "state")
    tasks = Tasks(state, kept=2)
    task = tasks.enqueue("merge", "made", {})
    for _ in range(3):
        tasks.resume()
        assert tasks.claim(["import"]) is None
        assert tasks.claim(["merge"]).id == task.id
        assert tasks.claim(["merge"]) is None
    tasks.resume()
    assert (tasks[task.id].status, tasks[task.id].error["type"]) == ("failed", "interrupted")
    other = tasks.enqueue("merge", "made", {})
    tasks.claim(["merge"])
    tasks.cancel(other.id)
    tasks.resume()
    assert tasks[other.id].status == "canceled"
    for _ in range(3):
        done = tasks.claim(["merge"]) or tasks.enqueue("merge", "made", {})
        tasks.finish(done, "succeeded", {})
    assert len(tasks.listed(10)) == 2
    state.close()


def test_a_task_of_a_server_that_ended_is_done_by_the_next(tmp_path):
    (tmp_path / "files").mkdir()
    many = [{"_id": f"n{n}", "text": f"banana {n}"} for n in range(500)]
    write_jsonl(tmp_path / "files" / "many.jsonl", many)
    settings = {"import_folders": [tmp_path / "files"]}
    (tmp_path / "served").mkdir()
    with served(tmp_path / "served", **settings) as client:
        client.put("/v1/indexes/made", json=FIELDS)
        task = client.post("/v1/indexes/made/import", json={"source": "many.jsonl"}).json()
        time.sleep(0.2)
    with served(tmp_path / "served", **settings) as client:
        wait_until(lambda: "finished" in client.get(f"/v1/tasks/{task['id']}").json())
        assert client.get(f"/v1/tasks/{task['id']}").json()["status"] == "succeeded"
        assert client.get("/v1/indexes/made").json()["documents"] == 500


def write_later(client, index, documents, **headers):
    path = f"/v1/indexes/{index}/documents?wait=false"
    return client.post(path, content=documents, headers=headers)


def ended(client, task):
    wait_until(lambda: client.get(f"/v1/tasks/{task}").json()["status"] == "succeeded")
    return client.get(f"/v1/tasks/{task}").json()


def test_a_bulk_write_that_is_not_waited_for_is_done_by_a_task(client, made):
    lines = b'{"id": "later", "text": "a quince"}\nno JSON\n{"id": "a", "text": "an apple now"}\n'
    answer = write_later(client, made, lines, **{"Idempotency-Key": "one"})
    assert answer.status_code == 202, answer.text
    task = ended(client, answer.json()["id"])
    assert (task["kind"], task["index"]) == ("bulk", made)
    assert set(task["result"]) == {"created", "updated", "unchanged", "rejected", "problems"}
    counts = {name: task["result"][name] for name in ("created", "updated", "rejected")}
    assert counts == {"created": 1, "updated": 1, "rejected": 1}
    assert task["result"]["problems"][0].startswith("item 2")
    assert client.get(f"/v1/indexes/{made}/documents/later").json()["text"] == "a quince"
    again = write_later(client, made, lines, **{"Idempotency-Key": "one"})
    assert again.json()["id"] == answer.json()["id"]
    state = client.app.state.database
    wait_until(lambda: not state.rows("SELECT task FROM bulk_bodies"))


def test_what_no_task_could_write_is_refused_at_once(client, made):
    assert write_later(client, made, b"[{]").status_code == 400
    assert write_later(client, made, b"").status_code in (400, 422)
    assert write_later(client, "missing", b'{"id": "x", "text": "y"}').status_code == 404


def test_a_bulk_write_outlives_the_server_that_took_it(tmp_path):
    with served(tmp_path) as client:
        client.put("/v1/indexes/kept", json=FIELDS)
        # Its process is not begun: as if the server were killed right after its answer.
        client.app.state.long_work.stop()
        answer = write_later(client, "kept", b'{"id": "k", "text": "kept"}')
        assert answer.status_code == 202
    with served(tmp_path) as client:
        task = ended(client, answer.json()["id"])
        assert task["result"]["created"] == 1
        assert ids(client, "kept", "kept") == ["k"]
