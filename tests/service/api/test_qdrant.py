"""A server over a collection in Qdrant: the same requests, and what it leaves to Qdrant."""

import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import upsert_documents
from index.qdrant.address import QdrantAddress
from index.qdrant.edge_port import EdgePort
from index.qdrant.pushing import push
from lsr.corpus.documents import Document
from service.api.app import create_app
from service.settings import ServerSettings

pytest.importorskip("qdrant_client")
pytest.importorskip("qdrant_edge")
URL = "http://127.0.0.1"
DOCUMENTS = [
    Document("a", "apple pie", "Pie", {"year": 2001}),
    Document("b", "banana split", metadata={"year": 2002}),
    Document("c", "cherry pie and apple", metadata={"year": 2003}),
]


@pytest.fixture
def clients(tmp_path):
    """Of a server over a directory, and of one over its copy in Qdrant's engine."""
    here = Collection.create(tmp_path / "here/fruit", encoder_fields("bm25"))
    upsert_documents(here, DOCUMENTS)
    there = QdrantAddress.parse(f"qdrant-edge://{tmp_path}/there/fruit")
    port = EdgePort(there)
    push(here, port, str(there))
    port.close()
    here.close()
    with (
        TestClient(create_app(ServerSettings(paths=[here.path])), base_url=URL) as native,
        TestClient(create_app(ServerSettings(paths=[str(there)])), base_url=URL) as qdrant,
    ):
        yield native, qdrant


def without_times(answer):
    """An answer without what differs by time and place."""
    found = {name: each for name, each in answer.items() if name not in ("took_ms", "meta")}
    for hit in found.get("hits", []):
        hit["score"] = round(hit["score"], 5)
        hit["scores"] = {name: round(each, 5) for name, each in hit.get("scores", {}).items()}
    return found


def test_requests_get_the_same_answers(clients):
    body = {"query": "apple pie", "filter": "year >= 2001", "facets": ["year"], "highlight": True}
    native, qdrant = (client.post("/v1/indexes/fruit/search", json=body) for client in clients)
    assert qdrant.status_code == 200, qdrant.text
    assert without_times(qdrant.json()) == without_times(native.json())
    for change in (
        lambda client: client.post(
            "/v1/indexes/fruit/documents", json=[{"id": "d", "text": "apple"}]
        ),
        lambda client: client.patch("/v1/indexes/fruit/documents/a", json={"title": "Apple pie"}),
        lambda client: client.delete("/v1/indexes/fruit/documents/b"),
        lambda client: client.post(
            "/v1/indexes/fruit/documents/delete", json={"filter": "year = 2003"}
        ),
    ):
        native, qdrant = map(change, clients)
        assert qdrant.status_code == native.status_code, qdrant.text
        native, qdrant = (client.get("/v1/indexes/fruit/documents") for client in clients)
        assert qdrant.json() == native.json()
    for path in ("/v1/indexes", "/v1/indexes/fruit", "/v1/indexes/fruit/documents/a"):
        native, qdrant = (client.get(path).json() for client in clients)
        assert qdrant == native


def test_what_is_about_files_is_left_to_qdrant(clients):
    _, qdrant = clients
    assert "lsr_index_documents" in qdrant.get("/metrics").text
    assert qdrant.get("/readyz").status_code == 200
    for answer in (
        qdrant.delete("/v1/indexes/fruit"),
        qdrant.post("/v1/indexes/fruit/snapshots", json={"name": "x"}),
    ):
        assert answer.status_code in (409, 422, 404), answer.text
    assert "is in Qdrant" in qdrant.delete("/v1/indexes/fruit").json()["error"]["message"]


def test_a_server_that_is_not_there_is_a_problem_of_its_index_alone(tmp_path):
    here = Collection.create(tmp_path / "fruit", encoder_fields("bm25"))
    upsert_documents(here, DOCUMENTS)
    settings = ServerSettings(paths=[here.path, "qdrant://127.0.0.1:1/gone"])
    with TestClient(create_app(settings), base_url=URL) as client:
        assert client.post("/v1/indexes/fruit/search", json={"query": "apple"}).status_code == 200
        gone = client.post("/v1/indexes/gone/search", json={"query": "apple"})
        assert gone.status_code == 503
        assert gone.json()["error"]["type"] == "unavailable"
        (listed,) = [
            each for each in client.get("/v1/indexes").json()["indexes"] if each["name"] == "gone"
        ]
        assert "can't be reached" in listed["problem"]
