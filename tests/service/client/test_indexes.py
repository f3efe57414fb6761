import asyncio

import pytest

import lsr
from lsr.errors import ConflictError, NotFoundError
from tests.service.pets import PETS
from tests.service.serving import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    lsr.index(PETS, into=folder / "all" / "pets", encoder="bm25")
    with serving(folder, "all") as (_, served):
        yield served.address()


def test_indexes_are_made_named_and_deleted(server):
    with lsr.Client(server) as client:
        new = client.create("new", "bm25", passages="off")
        assert len(new) == 0
        with pytest.raises(ConflictError, match="'new'"):
            client.create("new")
        assert new.upsert(PETS).created == len(PETS)
        assert client.change_aliases({"best": "new"}) == {"best": "new"}
        assert client.open("best").search("owls").hits[0].id == "owl"
        assert client.change_aliases({"best": "pets", "other": "new"}) == client.aliases()
        assert client.aliases() == {"best": "pets", "other": "new"}
        with pytest.raises(NotFoundError, match="'none'"):
            client.change_aliases({"best": "none"})
        client.delete("new")
        assert [each["name"] for each in client.indexes()] == ["pets"]
        with pytest.raises(NotFoundError, match="'new'"):
            client.delete("new")
        assert client.change_aliases({"best": None}) == {}


def test_long_work_is_begun_and_waited_for(server):
    with lsr.Client(server) as client:
        pets = client.open("pets")
        task = client.finished(pets.start("snapshot", name="first"))
        assert (task["status"], task["result"]["documents"]) == ("succeeded", len(PETS))
        pets.delete(["owl"])
        restored = client.finished(pets.start("restore", snapshot="first", replace=True))
        assert restored["status"] == "succeeded"
        assert pets.get("owl") == PETS[2]
        assert client.finished(pets.start("check"))["result"]["problems_found"] == 0
        assert client.task(task["id"]) == task
        with pytest.raises(ConflictError, match="has ended: it is succeeded"):
            client.cancel(task["id"])
        with pytest.raises(NotFoundError, match="'nothing'"):
            client.task("nothing")
        with pytest.raises(lsr.LsrError):
            pets.start("dance")


def test_it_is_the_same_with_await(server):
    async def run():
        async with lsr.AsyncClient(server) as client:
            made = await client.create("awaited", "bm25")
            await made.upsert(PETS)
            await client.change_aliases({"pet": "awaited"})
            task = await client.finished(await made.start("merge"))
            assert (await client.task(task["id"]))["status"] == "succeeded"
            with pytest.raises(ConflictError, match="has ended: it is succeeded"):
                await client.cancel(task["id"])
            assert (await client.aliases()) == {"pet": "awaited"}
            found = await (await client.open("pet")).search("bark")
            await client.delete("awaited")
            return found

    assert asyncio.run(run()).hits[0].id == "dog"
