"""Measures, vectors, keys and versions by a client: what REST and the embedded search give."""

import asyncio
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import lsr
from eval.measures import measure, measure_queries
from index.search.embedding import embed_texts
from lsr.errors import ConflictError, InputError, NotFoundError, UnavailableError, UsageError
from service.client.remote_collection import RemoteCollection
from tests.service.client.test_failures import LOSE, scripted
from tests.service.pets import PETS
from tests.service.serving import serving

QUERIES = {"q1": "hunt at night", "q2": "who barks?", "q3": "zebra"}
QRELS = {"q1": {"owl": 2, "bat": 1}, "q2": {"dog": 1}, "q3": {"cat": 1}}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A client of another server, which has no key before and after each test."""
    folder = tmp_path_factory.mktemp("own")
    lsr.index(PETS, into=folder / "all" / "pets", encoder="bm25")
    with serving(folder, "all") as (_, served), lsr.Client(served.address()) as client:
        yield client


def test_measures_are_those_of_the_rankings(client):
    pets = client.open("pets")
    settings = {"using": "sparse+bm25", "filter": "legs > 0", "fusion_depth": 3}
    run = {
        name: [(hit.id, hit.score) for hit in pets.search(text, 100, **settings).hits]
        for name, text in QUERIES.items()
    }
    found = pets.evaluate(QUERIES, QRELS, **settings)
    assert found["measures"] == pytest.approx(measure(QRELS, run))
    assert not {"per_query", "run"} & set(found)
    found = pets.evaluate(QUERIES, QRELS, ["P@1"], 2, per_query=True, run=True, **settings)
    values = {name: each["P@1"] for name, each in found["per_query"].items()}
    assert values == measure_queries(QRELS, run, "P@1")
    assert [line.split()[2] for line in found["run"].splitlines()] == [
        document for ranking in run.values() for document, _ in ranking[:2]
    ]
    with pytest.raises(UsageError, match="unknown measures: wrong"):
        pets.evaluate(QUERIES, QRELS, ["wrong"])
    with pytest.raises(InputError, match="'sort' is not known here"):
        pets.evaluate(QUERIES, QRELS, sort=["legs"])


def test_a_long_evaluation_is_begun_and_waited_for(own):
    asked = {"queries": QUERIES, "qrels": QRELS, "run": "trec"}
    task = own.finished(own.open("pets").start("evaluate", **asked))
    assert (task["status"], task["kind"]) == ("succeeded", "evaluate")
    now = own.open("pets").evaluate(QUERIES, QRELS, run=True)
    later = own.task(task["id"])["result"]
    assert (later["measures"], later["run"]) == (now["measures"], now["run"])


@pytest.mark.parametrize("kind", ["document", "query"])
@pytest.mark.parametrize("using", [None, "bm25"])
def test_texts_are_the_vectors_of_the_embedded_collection(folder, client, kind, using):
    texts = ["Owls hunt mice at night.", "zzqqxx", *(f"night {n}" for n in range(300))]
    pets = client.open("pets")
    found = pets.embed_sparse(texts, kind, using)
    expected = embed_texts(lsr.open(folder / "pets"), texts, kind == "query", using, False)
    for row, wanted in zip(found, expected.rows, strict=True):
        np.testing.assert_array_equal(row.indices, wanted.indices)
        np.testing.assert_allclose(row.values, wanted.values, rtol=1e-6)
    assert pets.embed_sparse([]) == []
    with pytest.raises(InputError, match="give a list"):
        pets.embed_sparse("owls")
    with pytest.raises(InputError, match="text number 2 is empty") as caught:
        pets.embed_sparse(["owls"] * 257 + [" "])
    assert caught.value.__notes__[-1] == "It is about the texts from number 257 on."
    with pytest.raises(UsageError, match="no 'none' field"):
        pets.embed_sparse(["owls"], using="none")


def test_the_vector_of_a_query_finds_what_its_text_finds(client):
    pets = client.open("pets")
    (vector,) = pets.embed_sparse(["hunt at night"], "query", "sparse")
    query = lsr.SearchQuery(sparse=(vector.indices, vector.values))
    found, expected = (pets.search(each, using="sparse") for each in (query, "hunt at night"))
    assert [hit.id for hit in found.hits] == [hit.id for hit in expected.hits]
    assert [hit.score for hit in found.hits] == pytest.approx([hit.score for hit in expected.hits])


def test_keys_are_made_listed_and_revoked(own):
    until = datetime.now(UTC) + timedelta(days=1)
    admin = own.create_key("all", ["admin"])["token"]
    with pytest.raises(UsageError, match="a key is needed"):
        own.list_keys()
    with lsr.Client(own.connection.url, admin) as client:
        made = client.create_key("box", indexes=["pets"], expires=until)
        assert [each["name"] for each in client.list_keys()] == ["all", "box"]
        assert made["key"] in client.list_keys()
        assert made["key"]["expires"] == until.strftime("%Y-%m-%dT%H:%M:%SZ")
        with lsr.Client(own.connection.url, made["token"]) as narrow:
            assert narrow.open("pets").search("owl").hits
            with pytest.raises(UsageError, match="no scope 'admin'"):
                narrow.list_keys()
            assert client.revoke_key(made["key"]["id"])["name"] == "box"
            with pytest.raises(UsageError, match="revoked"):
                narrow.open("pets")
        with pytest.raises(NotFoundError):
            client.revoke_key(made["key"]["id"])
        with pytest.raises(InputError, match="without a time zone"):
            client.create_key("x", expires=datetime(2999, 1, 1))
        for wrong in ({"scopes": "admin"}, {"indexes": "pets"}):
            with pytest.raises(InputError, match="give a list"):
                client.create_key("x", **wrong)
        with pytest.raises(InputError, match="scopes"):
            client.create_key("x", ["all"])
        client.revoke_key(client.list_keys()[0]["id"])


def test_of_two_that_read_a_version_one_writes(written):
    written.upsert([{"id": "a/ä", "text": "apple"}, {"id": "b", "text": "fig"}])
    document, tag = written.versioned("a/ä")
    assert (document, written.versioned("none")) == (written.get("a/ä"), None)
    assert written.patch("a/ä", {"text": "plum"}, if_match=tag)
    for late in (
        lambda: written.patch("a/ä", {"text": "lime"}, if_match=tag),
        lambda: written.delete_document("a/ä", if_match=tag),
        lambda: written.delete_document("none", if_match="*"),
    ):
        with pytest.raises(ConflictError, match="which If-Match doesn't name"):
            late()
    document, tag = written.versioned("a/ä")
    assert document.text == "plum"
    written.delete_document("a/ä", if_match=tag)
    written.delete_document("b")
    assert written.ids() == []
    with pytest.raises(NotFoundError):
        written.delete_document("b")
    for wrong in ("", "a\nb", "ä"):
        with pytest.raises(InputError, match="If-Match is"):
            written.patch("b", {}, if_match=wrong)
    with pytest.raises(UsageError, match="names no version"):
        written.patch("b", {}, if_match="x")


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.create_key("x"),
        lambda client: RemoteCollection(client, "pets").patch("a", {}, if_match="*"),
        lambda client: RemoteCollection(client, "pets").delete_document("a", if_match="*"),
    ],
    ids=["key", "patch", "delete"],
)
def test_what_may_have_been_done_is_not_sent_again(call):
    """There would be another key, which nobody knows; and the version would be another."""
    with (
        scripted(LOSE) as (address, requests),
        lsr.Client(address) as client,
        pytest.raises(UnavailableError, match="can't be reached"),
    ):
        call(client)
    assert len(requests) == 1


def test_it_is_the_same_with_await(own):
    async def run():
        async with lsr.AsyncClient(own.connection.url) as client:
            pets = await client.open("pets")
            assert (await pets.versioned("owl"))[0] == PETS[2]
            _, tag = await pets.versioned("dog")
            assert await pets.patch("dog", {"title": "Hounds"}, if_match=tag)
            with pytest.raises(ConflictError):
                await pets.delete_document("dog", if_match=tag)
            measures = (await pets.evaluate(QUERIES, QRELS))["measures"]
            (vector,) = await pets.embed_sparse(["owls"])
            key = await client.create_key("first", ["admin"])
        async with lsr.AsyncClient(own.connection.url, key["token"]) as client:
            assert [each["id"] for each in await client.list_keys()] == [key["key"]["id"]]
            revoked = await client.revoke_key(key["key"]["id"])
        return measures, vector, revoked["name"]

    measures, vector, name = asyncio.run(run())
    assert (set(measures), len(vector), name) == (
        {"nDCG@10", "Recall@100", "MRR@10", "MAP@100"},
        1,
        "first",
    )
