"""Indexes made, changed and deleted over HTTP, and their aliases."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from fastapi.testclient import TestClient
from hypothesis import example, given
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import upsert_documents
from lsr.corpus.documents import Document
from lsr.errors import UsageError
from service.api.app import create_app
from service.api.encoders import AllowedEncoders
from service.api.lifecycle import Lifecycle
from service.settings import ServerSettings
from service.state.places import check_name
from tests.service.conftest import URL

FRUIT = [{"id": "a", "text": "apple banana"}, {"id": "b", "text": "banana cherry"}]


def served(*paths, **settings):
    return TestClient(create_app(ServerSettings(paths=list(paths), **settings)), base_url=URL)


@pytest.fixture
def client(tmp_path):
    with served(tmp_path) as opened:
        yield opened


def ids(client, index, text="banana"):
    answer = client.post(f"/v1/indexes/{index}/search", json={"query": {"text": text}})
    assert answer.status_code == 200, answer.text
    return [hit["id"] for hit in answer.json()["hits"]]


def refused(answer, status, kind):
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["type"] == kind
    return answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({}, {}),
        ({"encoder": "bm25"}, {"encoder": "bm25"}),
        (
            {"encoder": "bm25,k1=1.2", "language": "german"},
            {"encoder": "bm25,k1=1.2,analyzer=german"},
        ),
        ({"bm25": True, "passages": "off"}, {"bm25": True}),
        ({"encoder": "lsr-tiny-v1,words=no"}, {"encoder": "lsr-tiny-v1,words=no"}),
    ],
)  # fmt: skip
def test_an_index_is_made_as_the_command_line_makes_it(client, tmp_path, body, wanted):
    answer = client.put("/v1/indexes/made", json=body)
    assert answer.status_code == 201, answer.text
    expected = [field.fingerprint for field in encoder_fields(**wanted)]
    assert [field["fingerprint"] for field in answer.json()["fields"]] == expected
    made = Collection.open(tmp_path / "made")
    assert (made.passages, len(made)) == (body.get("passages", "auto"), 0)
    assert answer.json() == client.get("/v1/indexes/made").json()
    assert client.post("/v1/indexes/made/documents", json=FRUIT).json()["errors"] is False
    assert set(ids(client, "made")) == {"a", "b"}
    assert [path.name for path in tmp_path.iterdir() if path.name != ".lsr"] == ["made"]


def test_without_a_body_all_is_as_by_default(client):
    assert client.put("/v1/indexes/made").status_code == 201
    assert client.get("/v1/indexes/made").json()["passages"] == "auto"


def test_an_index_that_is_asked_for_again_is_the_first_answer(client):
    def made(name, body, key):
        headers = {} if key is None else {"Idempotency-Key": key}
        return client.put(f"/v1/indexes/{name}", json=body, headers=headers)

    first = made("fruit", {"encoder": "bm25"}, "k")
    assert (first.status_code, "idempotency-replayed" in first.headers) == (201, False)
    client.post("/v1/indexes/fruit/documents", json=FRUIT)
    again = made("fruit", {"encoder": "bm25"}, "k")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert client.get("/v1/indexes/fruit").json()["documents"] == 2
    assert "another body" in refused(made("fruit", {}, "k"), 422, "invalid_request")
    # A refusal is kept under no key: the next try may end better.
    assert made("fruit", {}, "k2").status_code == 409
    client.delete("/v1/indexes/fruit")
    assert made("fruit", {}, "k2").status_code == 201
    assert made("fruit", {}, None).status_code == 409


def test_models_of_the_owner_have_their_own_names(tmp_path, masked_lm, dense_model):
    settings = {"encoders": [str(masked_lm), str(dense_model)]}
    with served(tmp_path, **settings) as client:
        body = {"encoder": masked_lm.name, "dense": dense_model.name}
        assert client.put("/v1/indexes/made", json=body).status_code == 201
        (sparse, dense) = encoder_fields(str(masked_lm), str(dense_model))
        fields = client.get("/v1/indexes/made").json()["fields"]
        assert [each["fingerprint"] for each in fields] == [sparse.fingerprint, dense.fingerprint]
        answer = client.put("/v1/indexes/other", json={"encoder": str(masked_lm)})
        assert masked_lm.name in refused(answer, 422, "invalid_input")


@pytest.mark.parametrize(
    "asked",
    ["/etc", "./models", "splade:/etc", "bm25:/etc", "naver/splade-v3", "bm25,analyzer_file=/etc",
     "lsr-tiny-v1,query.checkpoint=/etc", "lsr-tiny-v1,idf=/etc/passwd", "", "bm25+/etc", "\0",
     "lsr-tiny-v1:/etc", "inference-free:/etc", "BM25", " bm25", "splade-v3"],
)  # fmt: skip
def test_a_request_makes_the_server_load_no_other_model(client, asked):
    for name in ("encoder", "dense"):
        message = refused(client.put("/v1/indexes/made", json={name: asked}), 422, "invalid_input")
        assert "allowed are" in message
    assert client.get("/v1/indexes").json() == {"indexes": []}


def test_two_encoders_of_one_name_are_no_choice():
    with pytest.raises(UsageError, match="differ in name"):
        AllowedEncoders(["bm25"])


def test_a_name_is_taken_once(client, tmp_path):
    client.put("/v1/indexes/made", json={"encoder": "bm25"})
    client.post("/v1/indexes/made/documents", json=FRUIT)
    again = client.put("/v1/indexes/made", json={"encoder": "bm25"})
    assert "already" in refused(again, 409, "conflict")
    assert len(ids(client, "made")) == 2
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    (tmp_path / "file").touch()
    for name in ("there", "file"):
        refused(client.put(f"/v1/indexes/{name}", json={"encoder": "bm25"}), 409, "conflict")


def test_of_many_who_make_one_name_one_wins(tmp_path):
    """From two workers of one server."""
    with served(tmp_path) as one, served(tmp_path) as other, ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda n: (one, other)[n % 2].put("/v1/indexes/made", json={"encoder": "bm25"}),
            range(8),
        )
        assert sorted(each.status_code for each in answers) == [201] + [409] * 7
        assert one.get("/v1/indexes/made").json() == other.get("/v1/indexes/made").json()
    assert not any((tmp_path / ".lsr" / "creating").iterdir())


@pytest.mark.parametrize(
    "name",
    ["%2e%2e", ".hidden", "a%5Cb", "a%00b", "a%0Ab", "%20a", "x" * 129, "a*", "%ff",
             "é" * 65],
)  # fmt: skip
def test_names_that_no_folder_should_have_are_refused(client, tmp_path, name):
    answer = client.put(f"/v1/indexes/{name}", json={"encoder": "bm25"})
    assert answer.status_code in (400, 404, 405, 422), answer.text
    assert {path.name for path in tmp_path.iterdir()} == {".lsr"}


@given(st.text())
@example("..")
@example("\ud800")
def test_every_name_that_is_allowed_is_a_folder_of_its_own(name):
    with suppress(UsageError):
        assert check_name(name) == name
        assert name.encode()
        assert not set(name) & set("/\\\0\n*?")
        assert name not in (".", "..")


def test_a_server_of_single_collections_makes_and_deletes_none(tmp_path):
    Collection.create(tmp_path / "one", encoder_fields("bm25")).close()
    with served(tmp_path / "one") as client:
        assert "lsr serve FOLDER" in refused(client.put("/v1/indexes/two"), 409, "conflict")
        assert "by itself" in refused(client.delete("/v1/indexes/one"), 409, "conflict")
        assert client.get("/v1/indexes/one").status_code == 200


def test_a_deleted_index_is_gone_for_every_worker(tmp_path):
    with served(tmp_path) as one, served(tmp_path) as other:
        one.put("/v1/indexes/made", json={"encoder": "bm25"})
        one.post("/v1/indexes/made/documents", json=FRUIT)
        assert set(ids(other, "made")) == {"a", "b"}
        assert one.delete("/v1/indexes/made").json() == {"name": "made", "deleted": True}
        for client in (one, other):
            refused(client.get("/v1/indexes/made"), 404, "not_found")
            refused(client.post("/v1/indexes/made/documents", json=FRUIT), 404, "not_found")
        refused(one.delete("/v1/indexes/made"), 404, "not_found")
        other.put("/v1/indexes/made", json={"bm25": True})
        assert ids(one, "made") == ids(other, "made") == []
    assert {path.name for path in tmp_path.iterdir()} == {".lsr", "made"}


def test_an_index_that_cannot_be_read_is_deleted_all_the_same(client, tmp_path):
    client.put("/v1/indexes/made", json={"encoder": "bm25"})
    (tmp_path / "made" / "collection.sqlite").write_bytes(b"no database" * 1000)
    assert client.delete("/v1/indexes/made").status_code == 200
    assert client.get("/v1/indexes").json() == {"indexes": []}


def test_who_writes_is_not_cut_off(client, tmp_path, monkeypatch):
    monkeypatch.setattr("service.api.lifecycle.LONGEST_WAIT", 0.05)
    client.put("/v1/indexes/made", json={"encoder": "bm25"})
    with Collection.open(tmp_path / "made").writing():
        answer = client.delete("/v1/indexes/made")
        refused(answer, 503, "locked")
        assert answer.headers["Retry-After"] == "1"
    assert client.delete("/v1/indexes/made").status_code == 200


def test_no_acknowledged_write_is_lost_to_a_deletion_beside_it(tmp_path):
    """A write that is answered after the index was made anew is in the new one."""
    with served(tmp_path) as client:
        acknowledged, stop = [], threading.Event()

        def write():
            number = 0
            while not stop.is_set():
                number += 1
                document = [{"id": str(number), "text": "banana"}]
                answer = client.post("/v1/indexes/made/documents", json=document)
                assert answer.status_code in (200, 404, 503), answer.text
                if answer.status_code == 200:
                    acknowledged.append(str(number))

        client.put("/v1/indexes/made", json={"encoder": "bm25"})
        writer = threading.Thread(target=write)
        writer.start()
        for _ in range(5):
            while client.delete("/v1/indexes/made").status_code == 503:
                pass
            before = len(acknowledged)
            assert client.put("/v1/indexes/made", json={"encoder": "bm25"}).status_code == 201
        stop.set()
        writer.join()
        # One may have been answered between the deletion and the look at the list.
        held = set(Collection.open(tmp_path / "made").ids())
        assert set(acknowledged[before + 1 :]) <= held


def test_how_an_index_is_searched_by_default_can_be_changed(client):
    client.put("/v1/indexes/made", json={"bm25": True})
    client.post("/v1/indexes/made/documents", json=FRUIT)
    kept = {"fusion": "rrf,k=20,bm25=2,sparse=1", "effort": 0.5}
    body = {"search_defaults": {"bm25+sparse": kept}}
    answer = client.patch("/v1/indexes/made", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["search_defaults"]["bm25+sparse"]["effort"] == 0.5
    assert "k=20" in answer.json()["search_defaults"]["bm25+sparse"]["fusion"]
    search = {"query": {"text": "banana"}, "using": "sparse+bm25"}
    found = client.post("/v1/indexes/made/search", json=search).json()
    given = search | {
        "tuned": False,
        "fusion": {"rrf": {"k": 20, "weights": {"bm25": 2, "sparse": 1}}},
    }
    asked = client.post("/v1/indexes/made/search", json=given).json()
    assert [(hit["id"], hit["score"]) for hit in found["hits"]] == [
        (hit["id"], hit["score"]) for hit in asked["hits"]
    ]
    gone = client.patch("/v1/indexes/made", json={"search_defaults": {"sparse+bm25": None}})
    assert gone.json()["search_defaults"] == {}


@pytest.mark.parametrize(
    "change",
    [{"nowhere": {"effort": 0.5}}, {"sparse": {"fusion": "best"}}, {"sparse": {"effort": 7}},
     {"sparse+sparse": {}}, {"sparse": {"k": 1}}, {"sparse": {"fusion": "rrf,nowhere=1"}},
     {"": {"effort": 2}}],
)  # fmt: skip
def test_settings_that_no_search_takes_are_refused(client, change):
    client.put("/v1/indexes/made", json={})
    answer = client.patch("/v1/indexes/made", json={"search_defaults": change})
    assert answer.status_code in (400, 422), answer.text
    assert client.get("/v1/indexes/made").json()["search_defaults"] == {}


@pytest.fixture
def pair(client):
    for name, text in (("one", "banana"), ("two", "banana split")):
        client.put(f"/v1/indexes/{name}", json={"encoder": "bm25"})
        client.post(f"/v1/indexes/{name}/documents", json=[{"id": name, "text": text}])
    return client


def test_an_alias_stands_wherever_the_name_of_an_index_does(pair):
    answer = pair.put("/v1/aliases/live", json={"index": "one"})
    assert (answer.status_code, answer.json()) == (201, {"alias": "live", "index": "one"})
    assert ids(pair, "live") == ["one"]
    assert pair.get("/v1/indexes/live").json() == pair.get("/v1/indexes/one").json()
    assert pair.get("/v1/indexes/one").json()["aliases"] == ["live"]
    assert pair.get("/v1/indexes/live/documents/one").json()["text"] == "banana"
    pair.post("/v1/indexes/live/documents", json=[{"id": "x", "text": "banana banana"}])
    assert set(ids(pair, "one")) == {"one", "x"}
    answer = pair.put("/v1/aliases/live", json={"index": "two"})
    assert (answer.status_code, ids(pair, "live")) == (200, ["two"])
    assert pair.delete("/v1/aliases/live").json() == {"alias": "live", "index": "two"}
    refused(pair.get("/v1/indexes/live"), 404, "not_found")
    refused(pair.get("/v1/aliases/live"), 404, "not_found")
    refused(pair.delete("/v1/aliases/live"), 404, "not_found")


def test_several_aliases_change_at_once_or_not_at_all(pair, tmp_path):
    def change(*pairs):
        changes = [{"alias": alias, "index": index} for alias, index in pairs]
        return pair.post("/v1/aliases", json={"changes": changes})

    assert change(("a", "one"), ("b", "two")).status_code == 200
    swapped = change(("a", "two"), ("b", "one")).json()
    assert swapped == {"aliases": [{"alias": "a", "index": "two"}, {"alias": "b", "index": "one"}]}
    refused(change(("a", "one"), ("b", "nowhere")), 404, "not_found")
    refused(change(("a", "one"), ("c", None)), 404, "not_found")
    refused(change(("a", "one"), ("two", "one")), 409, "conflict")
    refused(change(("a", "one"), (".x", "one")), 400, "bad_request")
    refused(change(("a", "one"), ("a", "two")), 409, "conflict")
    assert pair.get("/v1/aliases").json() == swapped
    with served(tmp_path) as other:
        assert ids(other, "a") == ["two"]
        change(("a", None), ("b", "two"))
        refused(other.get("/v1/indexes/a"), 404, "not_found")
        assert ids(other, "b") == ["two"]
    with served(tmp_path) as again:
        assert again.get("/v1/aliases").json() == {"aliases": [{"alias": "b", "index": "two"}]}


def test_no_name_is_an_index_and_an_alias(pair):
    pair.put("/v1/aliases/live", json={"index": "one"})
    refused(pair.put("/v1/indexes/live", json={}), 409, "conflict")
    refused(pair.delete("/v1/indexes/live"), 409, "conflict")
    refused(pair.put("/v1/aliases/one", json={"index": "two"}), 409, "conflict")
    refused(pair.put("/v1/aliases/other", json={"index": "live"}), 404, "not_found")


def test_the_aliases_of_a_deleted_index_go_with_it(pair):
    pair.put("/v1/aliases/live", json={"index": "one"})
    pair.delete("/v1/indexes/one")
    assert pair.get("/v1/aliases").json() == {"aliases": []}
    pair.put("/v1/indexes/one", json={})
    refused(pair.get("/v1/indexes/live"), 404, "not_found")


def test_a_deletion_that_was_certain_is_finished_by_the_next_server(tmp_path, monkeypatch):
    """The server dies as the folder is to go; aliases, tasks and folder go together."""
    with served(tmp_path) as client:
        client.put("/v1/indexes/one", json={"encoder": "bm25"})
        client.put("/v1/aliases/live", json={"index": "one"})

        def die(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Lifecycle, "_finish", die)
            with pytest.raises(KeyboardInterrupt):
                client.app.state.lifecycle.delete("one")
    with served(tmp_path) as client:
        assert client.get("/v1/indexes").json() == {"indexes": []}
        assert client.get("/v1/aliases").json() == {"aliases": []}
        client.put("/v1/indexes/one", json={"encoder": "bm25"})
    with served(tmp_path) as client:
        assert client.get("/v1/indexes/one").status_code == 200


def test_an_index_that_someone_puts_in_the_place_of_an_alias_goes_before_it(pair, tmp_path):
    pair.put("/v1/aliases/live", json={"index": "one"})
    made = Collection.create(tmp_path / "live", encoder_fields("bm25"))
    upsert_documents(made, [Document("new", "banana")])
    assert ids(pair, "live") == ["new"]
