"""A folder that the server can't write to is served, and what it would keep there is told."""

import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from service.api.app import create_app
from service.settings import ServerSettings
from service.state.database import state_file
from tests.index.collection.test_read_only import WAYS, names, on_a_read_only_disk, open_folder
from tests.index.conftest import items
from tests.service.conftest import URL, sentence
from tests.service.serving import serving

__all__ = ["open_folder"]


@pytest.fixture
def folder(open_folder):
    made = Collection.create(open_folder / "fruit", encoder_fields("bm25"))
    index_documents(made, items({"a": "apple banana", "b": "cherry"}))
    made.close()
    return open_folder


@pytest.fixture
def imported(folder, tmp_path):
    """All that a server imports: another user may not read it here."""
    settings = ServerSettings(paths=[folder / "fruit"], state=tmp_path / "other.sqlite")
    with TestClient(create_app(settings), base_url=URL) as client:
        client.post("/v1/indexes/fruit/search", json={"query": "cherry"})


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize("reading", WAYS)
def test_it_is_served_and_nothing_is_kept(folder, reading, caplog):
    before = names(folder)
    with reading(folder) as place:
        settings = ServerSettings(paths=[place])
        with TestClient(create_app(settings), base_url=URL) as client:
            found = client.post("/v1/indexes/fruit/search", json={"query": "cherry"}).json()
            assert [hit["id"] for hit in found["hits"]] == ["b"]
            assert client.put("/v1/aliases/live", json={"index": "fruit"}).status_code == 201
            assert client.get("/v1/indexes/live").json()["name"] == "fruit"
            for answer in (
                client.put("/v1/indexes/new"),
                client.post("/v1/indexes/fruit/documents", json=[{"id": "c", "text": "plum"}]),
            ):
                assert 400 <= answer.status_code < 600
                assert set(answer.json()) == {"error"}, answer.text
        with TestClient(create_app(settings), base_url=URL) as client:
            assert client.get("/v1/indexes/live").status_code == 404
    after = names(folder)
    # The server before this one may let go of its log as late as this. Nothing else comes or goes.
    gone = {*before} - {*after}
    assert {*after} <= {*before}
    assert all(name.endswith(("-wal", "-shm")) for name in gone), gone
    assert "Traceback" not in caplog.text


def test_the_command_says_so_and_passes_over_no_state(folder, tmp_path, lsr):
    with on_a_read_only_disk(folder) as place:
        with serving(tmp_path, place) as (client, served):
            assert client.get("/readyz").status_code == 200
            served.address()
            told = " ".join(served.err.split())
            assert f"{place} can't be written to: keys, aliases and tasks are forgotten" in told
        kept = tmp_path / "state.sqlite"
        with serving(tmp_path, place, "--state", kept) as (client, served):
            served.address()
            assert "forgotten" not in served.err
        assert kept.exists()
    assert lsr("key", "create", folder, "--name", "k").returncode == 0
    assert state_file(folder).exists()
    with on_a_read_only_disk(folder.rename(folder.with_name(f"{folder.name}-kept"))) as place:
        told = sentence(lsr("serve", place, "--port", 0))
        assert "name another file with --state" in told
