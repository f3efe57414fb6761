"""What a server says and goes on doing when a disk is full or an index is broken."""

import json
import os
import shutil
import sqlite3
from contextlib import closing

import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.collection.maintenance import MaintenanceConfig
from index.indexing import index_documents, upsert_documents
from lsr.corpus.documents import Document
from lsr.errors import LsrError
from service.api.app import create_app
from service.api.bulk import CHUNK, CHUNK_CHARACTERS, bulk_upsert
from service.settings import ServerSettings
from tests.index.collection.test_disk_full import fill, small_disk  # noqa: F401
from tests.index.conftest import items
from tests.service.conftest import URL
from tests.waiting import wait_until

FRUIT = "/v1/indexes/fruit/documents"


def make(folder, name):
    made = Collection.create(folder / name, encoder_fields("bm25"))
    index_documents(made, items({"a": "apple banana", "b": "cherry"}))
    made.close()
    return made.path


@pytest.fixture
def folder(tmp_path):
    for name in ("fruit", "tree"):
        make(tmp_path / "all", name)
    return tmp_path / "all"


def bulk(count, text="x " * 500):
    return [{"id": f"n{number}", "text": text} for number in range(count)]


def test_each_item_on_a_filling_disk_says_whether_it_is_stored(small_disk):  # noqa: F811
    path = make(small_disk, "fruit")
    with TestClient(create_app(ServerSettings(paths=[path])), base_url=URL) as client:
        sent = [*bulk(1), {"text": "no id"}, *bulk(3000)[1:]]
        answer = client.post(FRUIT, content=json.dumps(sent))
        assert answer.status_code == 200
        body = answer.json()
        assert body["errors"] is True
        assert len(body["items"]) == len(sent)
        assert body["items"][1]["status"] == 422
        statuses = [item["status"] for item in body["items"]]
        written = statuses.count(201)
        assert 0 < written < 3000
        assert statuses.count(507) == 3000 - written
        reason = body["items"][-1]["error"]
        assert reason["type"] == "storage_full"
        assert reason["message"].startswith("item 3001: the server's disk is full; free space")
        stored = {item["id"] for item in body["items"] if item["status"] == 201}
        assert set(Collection.open(path).ids()) == stored | {"a", "b"}
        assert client.get("/v1/indexes/fruit").json()["documents"] == 2 + written

        again = client.post(FRUIT, content=json.dumps(bulk(3000)[written:]))
        assert again.status_code == 507
        assert {item["status"] for item in again.json()["items"]} == {507}
        error = again.json()["error"]
        assert (error["code"], error["type"]) == (507, "storage_full")
        assert error["message"].startswith("nothing was written: the server's disk is full")

        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["status"] == "degraded"
        (problem,) = ready.json()["problems"]
        assert problem.startswith("fruit: nothing was written to fruit/collection.sqlite")
        assert str(small_disk) not in ready.text
        search = {"query": {"text": "cherry"}}
        hits = client.post("/v1/indexes/fruit/search", json=search).json()["hits"]
        assert [hit["id"] for hit in hits] == ["b"]


def test_readiness_is_well_again_once_a_write_succeeds(small_disk):  # noqa: F811
    path = make(small_disk, "fruit")
    with TestClient(create_app(ServerSettings(paths=[path])), base_url=URL) as client:
        client.get("/v1/indexes/fruit")
        fill(small_disk / "ballast")
        assert client.post(FRUIT, json=bulk(100)).status_code == 507
        assert client.delete(f"{FRUIT}/a").status_code == 507
        assert client.get("/readyz").json()["status"] == "degraded"
        (small_disk / "ballast").unlink()
        assert client.post(FRUIT, json=bulk(100)).status_code == 200
        assert client.get("/readyz").json() == {"status": "ok"}


def test_a_bulk_that_is_cut_by_the_end_of_the_server_says_what_it_wrote(folder):
    collection = Collection.open(folder / "fruit")
    sent = bulk(3 * CHUNK, "x")
    asked = iter([False, True, False])
    answer = bulk_upsert(collection, json.dumps(sent).encode(), lambda: next(asked))
    statuses = [item["status"] for item in answer["items"]]
    assert statuses == [201] * 2 * CHUNK + [503] * CHUNK
    assert answer["items"][-1]["error"]["type"] == "stopping"
    assert len(collection) == 2 + 2 * CHUNK


def test_the_first_chunk_is_written_though_the_server_is_to_stop(folder):
    app = create_app(ServerSettings(paths=[folder]))
    with TestClient(app, base_url=URL) as client:
        app.state.indexes.stopping = True
        answer = client.post(FRUIT, json=bulk(CHUNK + 1, "x")).json()
        assert [item["status"] for item in answer["items"]] == [201] * CHUNK + [503]


def test_chunks_are_cut_by_their_characters_too(folder):
    collection = Collection.open(folder / "fruit")
    sent = bulk(5, "x " * (CHUNK_CHARACTERS // 3))
    answer = bulk_upsert(collection, json.dumps(sent).encode(), lambda: True)
    assert [item["status"] for item in answer["items"]] == [201] * 2 + [503] * 3


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [(LsrError("the disk broke"), 500, "failed"), (ZeroDivisionError(), 500, "failed")],
)
def test_a_bulk_that_fails_half_way_says_what_it_wrote(
    folder, monkeypatch, caplog, error, status, kind
):
    collection = Collection.open(folder / "fruit")
    calls = []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise error
        return upsert_documents(*arguments)

    monkeypatch.setattr("service.api.bulk.upsert_documents", failing)
    answer = bulk_upsert(collection, json.dumps(bulk(3 * CHUNK, "x")).encode())
    statuses = [item["status"] for item in answer["items"]]
    assert statuses == [201] * CHUNK + [status] * 2 * CHUNK
    assert answer["items"][-1]["error"]["type"] == kind
    assert "the disk broke" not in json.dumps(answer)
    assert "was not written" in caplog.text


def test_a_writer_that_holds_on_is_told_with_a_time_to_try_again(folder, monkeypatch):
    monkeypatch.setattr("index.collection.collection.LONGEST_WAIT", 0.05)
    with TestClient(create_app(ServerSettings(paths=[folder])), base_url=URL) as client:
        with Collection.open(folder / "fruit").writing():
            response = client.post(FRUIT, json=bulk(1))
            assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
            assert client.get("/readyz").json() == {"status": "ok"}
        assert client.post(FRUIT, json=bulk(1)).status_code == 200


def garbage(path):
    (path / "collection.sqlite").write_bytes(b"no database at all" * 1000)


def another_version(path):
    content = bytearray((path / "collection.sqlite").read_bytes())
    content[60:64] = (99).to_bytes(4, "big")
    (path / "collection.sqlite").write_bytes(content)


def empty(path):
    (path / "collection.sqlite").write_bytes(b"")


def truncated(path):
    content = (path / "collection.sqlite").read_bytes()
    (path / "collection.sqlite").write_bytes(content[: len(content) // 2])


def without_its_tables(path):
    with closing(sqlite3.connect(path / "collection.sqlite")) as connection:
        connection.execute("DROP TABLE settings")


BREAKS = [garbage, another_version, empty, truncated, without_its_tables]


@pytest.mark.parametrize("damage", BREAKS)
@pytest.mark.parametrize("when", ["before", "while it is served"])
def test_one_broken_index_is_named_and_the_others_are_served(folder, damage, when):
    if when == "before":
        damage(folder / "fruit")
    with TestClient(
        create_app(ServerSettings(paths=[folder])), base_url=URL, raise_server_exceptions=False
    ) as client:
        if when != "before":
            # A server notices another file in the place of the old one.
            copy = folder.parent / "copy"
            shutil.copytree(folder / "fruit", copy)
            damage(copy)
            (copy / "collection.sqlite").replace(folder / "fruit" / "collection.sqlite")
        broken, good = client.get("/v1/indexes").json()["indexes"]
        assert set(broken) == {"name", "problem"}
        assert broken["name"] == "fruit"
        assert "\n" not in broken["problem"]
        assert str(folder) not in broken["problem"]
        assert (good["name"], good["documents"]) == ("tree", 2)
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json() == {
            "status": "degraded", "problems": [f"fruit: {broken['problem']}"],
        }  # fmt: skip
        search = {"query": {"text": "cherry"}}
        assert client.post("/v1/indexes/tree/search", json=search).json()["hits"]
        assert client.post("/v1/indexes/fruit/search", json=search).status_code == 500
        shutil.rmtree(folder / "fruit")
        assert client.get("/readyz").json() == {"status": "ok"}


def test_with_every_index_broken_the_server_is_not_ready(folder):
    for name in ("fruit", "tree"):
        garbage(folder / name)
    with TestClient(create_app(ServerSettings(paths=[folder])), base_url=URL) as client:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "no index can be searched: fruit: " in answer.json()["error"]["message"]
        assert len(client.get("/v1/indexes").json()["indexes"]) == 2


def test_an_index_that_is_mended_is_well_again(folder):
    good = (folder / "fruit" / "collection.sqlite").read_bytes()
    garbage(folder / "fruit")
    with TestClient(create_app(ServerSettings(paths=[folder])), base_url=URL) as client:
        assert client.get("/readyz").json()["status"] == "degraded"
        (folder / "fruit" / "mended").write_bytes(good)
        (folder / "fruit" / "mended").replace(folder / "fruit" / "collection.sqlite")
        assert client.get("/readyz").json() == {"status": "ok"}


def test_a_folder_that_is_gone_holds_nothing(folder):
    with TestClient(create_app(ServerSettings(paths=[folder])), base_url=URL) as client:
        folder.rename(folder.parent / "elsewhere")
        assert client.get("/v1/indexes").json() == {"indexes": []}
        assert client.get("/readyz").json() == {"status": "ok"}
        assert client.get("/v1/indexes/fruit").status_code == 404


def test_builds_that_fail_in_the_background_are_named(folder):
    app = create_app(ServerSettings(paths=[folder]))
    with TestClient(app, base_url=URL) as client:
        collection = app.state.indexes["fruit"]
        place = folder / "fruit" / "segments"
        shutil.rmtree(place)
        place.write_text("in the way")
        collection.maintenance.config = MaintenanceConfig(flush_documents=1, retry_seconds=0.05)
        assert client.post(FRUIT, json=bulk(5)).status_code == 200
        wait_until(lambda: client.get("/readyz").json()["status"] == "degraded")
        (problem,) = client.get("/readyz").json()["problems"]
        assert problem.startswith("fruit: no segment can be written in fruit/segments")
        place.unlink()
        wait_until(lambda: client.get("/readyz").json() == {"status": "ok"})


def test_folders_whose_names_are_no_text_are_passed_over(folder, caplog):
    shutil.copytree(folder / "fruit", folder / os.fsdecode(b"\xff\xfe"))
    with TestClient(create_app(ServerSettings(paths=[folder])), base_url=URL) as client:
        names = [index["name"] for index in client.get("/v1/indexes").json()["indexes"]]
        assert names == ["fruit", "tree"]
    assert "is passed over" in caplog.text


def test_a_failing_build_in_the_background_does_not_fail_the_write(small_disk):  # noqa: F811
    config = MaintenanceConfig(flush_documents=1_000_000)
    collection = Collection.open(make(small_disk, "fruit"), config)
    assert collection.write_failure is None
    fill(small_disk / "ballast")
    with pytest.raises(LsrError):
        upsert_documents(collection, [Document(f"d{n}", "x " * 9000) for n in range(10)])
    assert isinstance(collection.write_failure, LsrError)
    (small_disk / "ballast").unlink()
    upsert_documents(collection, [Document("d", "x")])
    assert collection.write_failure is None


def test_a_server_that_stops_is_not_ready(folder):
    with TestClient(create_app(ServerSettings(paths=[folder])), base_url=URL) as client:
        client.app.state.indexes.stopping = True
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["error"]["message"].startswith("the server is stopping")
        assert client.get("/livez").status_code == 200
