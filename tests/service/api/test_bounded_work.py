"""The work of requests is bounded, and stops when nobody waits for it."""

import asyncio
import threading
import time

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient
from starlette.requests import ClientDisconnect, Request

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from service.api.app import create_app
from service.api.work import Work
from service.settings import ServerSettings
from tests.index.conftest import items
from tests.service.conftest import URL


class Client:
    """A connection that stays until it is told to go."""

    def __init__(self):
        self.gone = asyncio.Event()
        self.request = Request({"type": "http"}, self._receive)

    async def _receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}


async def until(condition):
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came")


def test_so_many_run_and_so_many_wait_and_more_are_refused():
    async def go():
        work, free, running = Work(2, 3, 60_000), threading.Event(), []

        def job(deadline):
            running.append(deadline)
            free.wait(60)
            return len(running)

        tasks = [asyncio.create_task(work.run(Client().request, job)) for _ in range(5)]
        await until(lambda: len(running) == 2)
        await asyncio.sleep(0.01)
        with pytest.raises(HTTPException) as refused:
            await work.run(Client().request, job)
        assert refused.value.status_code == 503
        assert refused.value.headers == {"Retry-After": "1"}
        assert len(running) == 2
        free.set()
        assert sorted(await asyncio.gather(*tasks))[-1] == 5
        assert await work.run(Client().request, lambda _: "again") == "again"

    asyncio.run(go())


def stopped(deadline, ends):
    """Works on until the deadline tells it to stop, and says so."""
    try:
        while not deadline.passed():
            time.sleep(0.001)
    finally:
        ends.append(deadline)


def test_work_stops_when_its_client_is_gone():
    async def go():
        work, client, ends = Work(1, 1, 60_000), Client(), []
        task = asyncio.create_task(work.run(client.request, lambda d: stopped(d, ends)))
        await asyncio.sleep(0.02)
        client.gone.set()
        with pytest.raises(ClientDisconnect):
            await task
        assert len(ends) == 1
        assert await work.run(Client().request, lambda _: "free") == "free"

    asyncio.run(go())


def test_who_is_gone_leaves_the_queue():
    async def go():
        work, free, client, begun = Work(1, 1, 60_000), threading.Event(), Client(), []
        first = asyncio.create_task(work.run(Client().request, lambda _: free.wait(60)))
        await asyncio.sleep(0.02)
        second = asyncio.create_task(work.run(client.request, begun.append))
        await asyncio.sleep(0.02)
        client.gone.set()
        with pytest.raises(ClientDisconnect):
            await second
        third = asyncio.create_task(work.run(Client().request, lambda _: "third"))
        await asyncio.sleep(0.02)
        free.set()
        assert await first
        assert await third == "third"
        assert begun == []

    asyncio.run(go())


def test_work_stops_when_the_server_does_and_what_waited_too_long_is_not_begun():
    async def go():
        work, ends, begun = Work(1, 1, 60_000), [], []
        task = asyncio.create_task(work.run(Client().request, lambda d: stopped(d, ends)))
        await asyncio.sleep(0.02)
        work.abandon()
        with pytest.raises(ClientDisconnect):
            await task
        assert len(ends) == 1
        late = Work(1, 1, 0)
        with pytest.raises(HTTPException) as refused:
            await late.run(Client().request, begun.append)
        assert refused.value.status_code == 503
        assert begun == []

    asyncio.run(go())


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    made = Collection.create(tmp_path_factory.mktemp("work") / "fruit", encoder_fields("bm25"))
    index_documents(made, items({"a": "apple banana", "b": "cherry"}))
    return made


def test_health_is_told_while_every_thread_is_taken(collection, monkeypatch):
    free, taken = threading.Event(), threading.Semaphore(0)

    def held(*arguments):
        taken.release()
        free.wait(60)

    app = create_app(ServerSettings(paths=[collection.path]))
    app.state.readers = Work(2, 4, 60_000)
    with TestClient(app, base_url=URL) as client:
        monkeypatch.setattr(Collection, "get", held)
        address = "/v1/indexes/fruit/documents/a"
        callers = [threading.Thread(target=client.get, args=[address]) for _ in range(4)]
        for caller in callers:
            caller.start()
        assert all(taken.acquire(timeout=60) for _ in range(2))
        try:
            assert client.get("/livez").status_code == 200
            assert client.get("/readyz").status_code == 200
            assert client.get("/").status_code == 200
            written = client.post("/v1/indexes/fruit/documents", json=[{"id": "c", "text": "d"}])
            assert written.status_code == 200
        finally:
            free.set()
            for caller in callers:
                caller.join()


def test_a_search_has_the_deadline_of_the_server(collection):
    with TestClient(
        create_app(ServerSettings(paths=[collection.path], deadline_ms=60_000)), base_url=URL
    ) as client:
        answer = client.post("/v1/indexes/fruit/search", json={"query": {"text": "apple"}})
        assert "timed_out" not in answer.json()["meta"]
    with TestClient(
        create_app(ServerSettings(paths=[collection.path], deadline_ms=0)), base_url=URL
    ) as client:
        answer = client.post("/v1/indexes/fruit/search", json={"query": {"text": "apple"}})
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "busy")
        assert answer.headers["Retry-After"] == "1"
