"""Long jobs wait for one another, and short ones for none of them."""

import asyncio
import json
import threading
import time

import pytest
from fastapi import HTTPException
from fastapi.responses import JSONResponse
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from service.api import work as module
from service.api.parted_json import PartedJSONResponse
from service.api.work import Work


def request():
    async def nothing_more():
        await asyncio.Event().wait()

    return Request({"type": "http", "headers": []}, nothing_more)


def compute(deadline):
    """Be a long job: take a processor for longer than short ones may, and look at the time."""
    begun = time.thread_time()
    while time.thread_time() - begun <= module.SHORT_SECONDS:
        pass
    return deadline.passed()


class Held:
    """A long job that ends when it is told to."""

    def __init__(self):
        self.at_work, self.go_on = threading.Event(), threading.Event()

    def __call__(self, deadline):
        compute(deadline)
        self.at_work.set()
        assert self.go_on.wait(60)
        return "held"


async def until(event):
    await asyncio.to_thread(event.wait, 60)


def test_short_jobs_go_by_a_long_one_though_there_is_one_thread():
    async def run():
        work, held = Work(1, 4, 60_000), Held()
        long = asyncio.create_task(work.run(request(), held))
        await until(held.at_work)
        assert [await work.run(request(), lambda _, n=n: n) for n in range(20)] == list(range(20))
        assert not long.done()
        held.go_on.set()
        assert await long == "held"

    asyncio.run(run())


def test_long_jobs_come_one_after_the_other():
    async def run():
        work, first, second = Work(4, 4, 60_000), Held(), Held()
        tasks = [asyncio.create_task(work.run(request(), first))]
        await until(first.at_work)
        tasks.append(asyncio.create_task(work.run(request(), second)))
        assert await work.run(request(), lambda _: "short") == "short"
        await asyncio.sleep(0.2)
        assert not second.at_work.is_set()
        first.go_on.set()
        await until(second.at_work)
        second.go_on.set()
        assert await asyncio.gather(*tasks) == ["held", "held"]

    asyncio.run(run())


def test_a_job_that_is_known_to_be_long_waits_from_its_beginning():
    async def run():
        work, held, begun = Work(4, 4, 60_000), Held(), threading.Event()
        long = asyncio.create_task(work.run(request(), held))
        await until(held.at_work)
        other = asyncio.create_task(work.run(request(), lambda _: begun.set(), is_long=True))
        assert await work.run(request(), lambda _: "short") == "short"
        await asyncio.sleep(0.2)
        assert not begun.is_set()
        held.go_on.set()
        assert await long == "held"
        await other
        assert begun.is_set()

    asyncio.run(run())


def test_a_long_job_whose_time_is_up_does_not_wait():
    async def run():
        work, held = Work(4, 4, 60_000), Held()
        hurried = Work(4, 4, 1500)
        hurried._long = work._long
        long = asyncio.create_task(work.run(request(), held))
        await until(held.at_work)
        assert await hurried.run(request(), compute) is True
        held.go_on.set()
        await long

    asyncio.run(run())


def test_too_many_long_jobs_are_refused(monkeypatch):
    monkeypatch.setattr(module, "LONG_WAITING", 1)

    async def run():
        work, held = Work(4, 4, 60_000), Held()
        long = asyncio.create_task(work.run(request(), held))
        await until(held.at_work)
        others = [asyncio.create_task(work.run(request(), compute)) for _ in range(3)]
        done, waiting = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 2:
            done, waiting = await asyncio.wait(others, timeout=0.1)
        for task in done:
            with pytest.raises(HTTPException) as raised:
                task.result()
            assert raised.value.status_code == 503
            assert raised.value.headers == {"Retry-After": "1"}
        held.go_on.set()
        assert await long == "held"
        assert [await task for task in waiting] == [False]

    asyncio.run(run())


def test_a_job_that_fails_gives_its_places_back():
    async def run():
        work = Work(1, 4, 60_000)

        def fail(deadline):
            compute(deadline)
            raise ZeroDivisionError

        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await work.run(request(), fail)
        assert await work.run(request(), compute) is False

    asyncio.run(run())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=6)
    | st.dictionaries(st.text("äb\"\n", max_size=4), inner, max_size=6),
    max_leaves=30,
)  # fmt: skip


@given(st.dictionaries(st.text('äb"\n', max_size=4), json_values, max_size=8))
def test_parted_answers_say_what_whole_ones_do(content):
    body = PartedJSONResponse(content).body
    assert json.loads(body) == json.loads(JSONResponse(content).body)


@pytest.mark.parametrize("brief", [True, False])
def test_jobs_of_a_kind_that_was_brief_run_in_the_event_loop(monkeypatch, brief):
    monkeypatch.setattr(module, "BRIEF_MS", 60_000.0 if brief else 0.0)

    async def run():
        work, here = Work(2, 4, 60_000), threading.get_ident()

        async def place(kind):
            return await work.run_brief(request(), lambda _: threading.get_ident(), kind)

        assert await place("a") != here
        places = [await place("a") for _ in range(40)]
        assert (places[-1] == here) is brief
        assert await place("b") != here
        with pytest.raises(ZeroDivisionError):
            await work.run_brief(request(), lambda _: 1 / 0, "a")
        with pytest.raises(HTTPException):
            await Work(2, 4, 0).run_brief(request(), lambda _: 1, "a")

    asyncio.run(run())


def test_a_kind_that_takes_longer_now_is_not_brief_for_a_while():
    now = [0.0]

    def take(kinds, seconds):
        with kinds.timed("a", lambda: now[0]):
            now[0] += seconds

    kinds = module.BriefKinds()
    assert not kinds.has("a")
    for _ in range(100):
        take(kinds, 0.001)
    assert kinds.has("a")
    take(kinds, 1.0)
    assert not kinds.has("a")
    for _ in range(100):
        take(kinds, 0.001)
    assert kinds.has("a")
