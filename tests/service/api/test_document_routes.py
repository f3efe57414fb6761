"""Documents listed, fetched, and written under conditions and keys."""

import gzip
import json
import threading
import zlib

import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from service.api.app import create_app
from service.settings import ServerSettings
from tests.index.conftest import items
from tests.service.api.test_app import error
from tests.service.conftest import URL

DOCUMENTS = "/v1/indexes/fruit/documents"
TEXTS = {"a": "apple banana", "b": "owls hunt at night", "c": "fig"}


@pytest.fixture
def collection(tmp_path):
    made = Collection.create(tmp_path / "all" / "fruit", encoder_fields("bm25", bm25=False))
    index_documents(made, items(TEXTS))
    return made


@pytest.fixture
def settings(collection, tmp_path):
    return ServerSettings(paths=[collection.path], state=tmp_path / "state.sqlite")


@pytest.fixture
def client(settings):
    with TestClient(create_app(settings), base_url=URL) as opened:
        yield opened


def test_documents_are_listed_page_by_page(client):
    client.patch(f"{DOCUMENTS}/a", json={"metadata": {"year": 2001, "lang": "en"}})
    first = client.get(DOCUMENTS, params={"limit": 2}).json()
    assert [each["id"] for each in first["documents"]] == ["b", "c"]
    assert first["total"] == 3
    assert "text" not in first["documents"][0]
    rest = client.get(DOCUMENTS, params={"limit": 2, "cursor": first["cursor"]}).json()
    assert [each["id"] for each in rest["documents"]] == ["a"]
    assert "cursor" not in rest
    found = client.get(DOCUMENTS, params={"filter": "year > 2000", "with_payload": "text,lang"})
    assert found.json() == {
        "documents": [{"id": "a", "text": TEXTS["a"], "metadata": {"lang": "en"}}],
        "total": 1,
    }
    bare = client.get(DOCUMENTS, params={"with_payload": "false"}).json()["documents"]
    assert bare == [{"id": "b"}, {"id": "c"}, {"id": "a"}]
    whole = client.get(DOCUMENTS, params={"with_payload": "true", "limit": 1}).json()["documents"]
    assert whole == [client.get(f"{DOCUMENTS}/b").json()]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"cursor": "abc"}, "none that this listing gave"),
        ({"filter": "year >"}, "filter"),
        ({"with_payload": "title,,text"}, "with_payload"),
        ({"offset": 3}, "'offset' is not known here; allowed are limit, cursor, filter"),
    ],
)
def test_a_listing_that_can_not_be_is_refused(client, params, reason):
    answer = client.get(DOCUMENTS, params=params)
    assert answer.status_code == 422
    assert reason in answer.json()["error"]["message"]


def test_several_documents_are_fetched_at_once(client):
    body = {"ids": ["c", "nobody", "a", "c"], "with_payload": ["text"]}
    assert client.post(f"{DOCUMENTS}/get", json=body).json() == {
        "documents": [{"id": "c", "text": TEXTS["c"]}, {"id": "a", "text": TEXTS["a"]}],
        "missing": ["nobody"],
    }
    many = {"ids": list(range(1001))}
    assert "1001 ids" in error(client.post(f"{DOCUMENTS}/get", json=many), 422, "invalid_input")


def test_a_version_is_written_over_only_by_who_knows_it(client):
    path = f"{DOCUMENTS}/a"
    first = client.get(path).headers["ETag"]
    same = client.get(path, headers={"If-None-Match": f'"x", W/{first}'})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", first)
    mine = client.patch(path, json={"title": "Mine"}, headers={"If-Match": first})
    assert mine.status_code == 200
    second = mine.headers["ETag"]
    assert second == client.get(path).headers["ETag"] != first
    theirs = client.patch(path, json={"title": "Theirs"}, headers={"If-Match": first})
    assert second in error(theirs, 412, "precondition_failed")
    error(client.delete(path, headers={"If-Match": first}), 412, "precondition_failed")
    error(client.get(path, headers={"If-Match": first}), 412, "precondition_failed")
    assert client.get(path).json()["title"] == "Mine"
    # What was changed back is another version all the same.
    back = client.patch(path, json={"title": ""}).headers["ETag"]
    assert back not in (first, second)
    known = client.delete(path, headers={"If-None-Match": back})
    error(known, 412, "precondition_failed")
    assert client.delete(path, headers={"If-Match": "*"}).status_code == 200
    gone = client.delete(path, headers={"If-Match": "*"})
    assert "is not there" in error(gone, 412, "precondition_failed")
    error(client.patch(path, json={}, headers={"If-None-Match": "*"}), 404, "not_found")
    for name in ("If-Match", "If-None-Match"):
        malformed = client.get(f"{DOCUMENTS}/b", headers={name: "abc"})
        assert "names no version" in error(malformed, 400, "bad_request")


def test_of_many_who_know_a_version_one_writes(client):
    path = f"{DOCUMENTS}/a"
    tag = client.get(path).headers["ETag"]
    statuses = []

    def write(number):
        body = {"metadata": {"by": number}}
        answer = client.patch(path, json=body, headers={"If-Match": tag})
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=write, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [412] * 5


def keyed(client, body, key="k", path=DOCUMENTS, **headers):
    return client.post(path, content=body, headers={"Idempotency-Key": key} | headers)


def test_a_write_that_is_sent_again_gets_the_first_answer(client, settings, collection):
    body = json.dumps([{"id": "new", "text": "plum"}, {"text": "no id"}])
    first = keyed(client, body)
    assert [each["status"] for each in first.json()["items"]] == [201, 422]
    client.delete(f"{DOCUMENTS}/new")
    # Another process of the server, or this one begun anew.
    with TestClient(create_app(settings), base_url=URL) as other:
        for again in (keyed(client, body), keyed(other, body)):
            assert again.json() == first.json()
            assert again.headers["Idempotency-Replayed"] == "true"
        assert collection.get("new") is None
        changed = keyed(other, body.replace("plum", "fig"))
        assert "another body" in error(changed, 422, "invalid_request")
        # Another client, address or key is another write.
        assert keyed(other, body, Authorization="Bearer x").json()["items"][0]["status"] == 201
        assert keyed(other, body, "k2").json()["items"][0]["result"] == "unchanged"
    deleted = keyed(client, b'{"ids": ["new"]}', path=f"{DOCUMENTS}/delete")
    assert deleted.json() == {"deleted": 1, "ids": ["new"]}
    again = keyed(client, b'{"ids": ["new"]}', path=f"{DOCUMENTS}/delete")
    assert again.json() == {"deleted": 1, "ids": ["new"]}


def test_what_was_not_written_is_tried_again(client, monkeypatch):
    def failing(*arguments):
        raise OSError("disk")

    with monkeypatch.context() as patch:
        patch.setattr("service.api.bulk.upsert_documents", failing)
        with pytest.raises(OSError, match="disk"):
            keyed(client, b'{"id": "new", "text": "plum"}')
    written = keyed(client, b'{"id": "new", "text": "plum"}')
    assert written.json()["items"][0]["status"] == 201
    for key in ("", "x" * 256):
        error(keyed(client, b'{"id": "new", "text": "plum"}', key), 422, "invalid_request")


LINES = b"".join(b'{"id": "z%d", "text": "plum"}\n' % number for number in range(2000))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(LINES)),
        ("GZIP", gzip.compress(LINES[:30]) + gzip.compress(LINES[30:])),
        ("deflate", zlib.compress(LINES)),
        ("identity", LINES),
    ],
)
def test_bodies_may_be_compressed(client, encoding, body):
    answer = client.post(DOCUMENTS, content=body, headers={"Content-Encoding": encoding}).json()
    assert (len(answer["items"]), answer["errors"]) == (2000, False)
    query = gzip.compress(b'{"query": "plum", "limit": 1}')
    found = client.post(
        "/v1/indexes/fruit/search", content=query, headers={"Content-Encoding": "gzip"}
    )
    assert len(found.json()["hits"]) == 1


def test_compressed_bodies_that_are_broken_or_burst_are_refused(client):
    bomb = gzip.compress(b" " * (100 << 20), 1)
    packed = gzip.compress(LINES)
    for encoding, body, status in [
        ("gzip", LINES, 400),
        ("gzip", packed[:-9], 400),
        ("gzip", packed + b"more", 400),
        ("gzip", b"", 422),
        ("br", packed, 415),
        ("gzip, gzip", packed, 415),
        ("gzip", bomb, 413),
    ]:
        answer = client.post(DOCUMENTS, content=body, headers={"Content-Encoding": encoding})
        assert answer.status_code == status, (encoding, answer.text)
        assert set(answer.json()) == {"error"}
    # The bytes were given back: as many as ever may come.
    assert client.app.state.budget.left == client.app.state.budget.total
