"""The work of requests, in threads: a bounded number at once, a bounded number in wait, and the
short before the long.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import anyio
import anyio.to_thread
from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from index.search.deadline import AbandonedError, Deadline

BUSY = {"Retry-After": "1"}
BUSY_MESSAGE = "the server is busy; try again in a second"
# Seconds of a processor after which a job is a long one, and how many of these may wait.
SHORT_SECONDS = 0.01
LONG_WAITING = 16
POLL_SECONDS = 0.05
# Milliseconds that jobs of a kind may take on average, to be done in the event loop itself; what
# the last of them counts for in the average; and kinds that are remembered.
BRIEF_MS, LAST_SHARE, MOST_KINDS = 8.0, 0.1, 1024
T = TypeVar("T")


class Work:
    """Runs jobs in threads of its own number, so that one kind of request can't take all.

    A job that turns out to be a long one makes its place free for the next, and goes on when no
    other long one is at work: Python computes in one thread at a time, and the short ones have it
    nearly for themselves.

    Args:
        threads: short jobs at once.
        waiting: jobs that may wait for a thread; more are refused.
        deadline_ms: milliseconds that a job has, those it waits included.
    """

    def __init__(self, threads: int, waiting: int, deadline_ms: float) -> None:
        self._free = anyio.CapacityLimiter(threads)
        # Threads are counted as they are begun, by the former; this one never makes a job wait.
        self._threads = anyio.CapacityLimiter(math.inf)
        self._most_waiting = waiting
        self._deadline_ms = deadline_ms
        self._deadlines: set[threading.Event] = set()
        self._long = threading.Semaphore(1)
        self._long_waiting = threading.Semaphore(LONG_WAITING)
        self._brief = BriefKinds()
        self.refused = 0
        """Jobs that were refused since too many waited."""

    @property
    def waiting(self) -> int:
        """Jobs that wait for a thread."""
        return self._free.statistics().tasks_waiting

    @property
    def running(self) -> int:
        """Jobs that have one."""
        return len(self._deadlines) - self.waiting

    async def run_brief(self, request: Request, job: Callable[[Deadline], T], kind: Hashable) -> T:
        """As ``run``, but at once and in the event loop where jobs of this kind have been brief.

        To hand a job of a millisecond to a thread and its result back costs nearly as much again,
        and that thread would hold the interpreter all the same.
        """
        if self._brief.has(kind):
            with self._brief.timed(kind, time.perf_counter):
                return job(Deadline.after(self._deadline_ms))

        def timed(deadline: Deadline) -> T:
            with self._brief.timed(kind, time.thread_time):
                return job(deadline)

        return await self.run(request, timed)

    async def run(self, request: Request, job: Callable[[Deadline], T], is_long: bool = False) -> T:
        """What a job returns, which is given the deadline that it should obey.

        A job is told to stop, or never begun, when its client is gone. One that is known to be
        long counts as such from its beginning.

        Raises:
            HTTPException: too many wait, or this one has waited too long (503).
            ClientDisconnect: the client is gone.
        """
        if self.waiting >= self._most_waiting:
            self.refused += 1
            raise HTTPException(503, BUSY_MESSAGE, BUSY)
        deadline = Deadline.after(self._deadline_ms)
        self._deadlines.add(deadline.abandoned)
        queue = anyio.CancelScope()
        watch = asyncio.create_task(_abandon_when_gone(request, deadline, queue))
        try:
            with queue:
                await self._free.acquire_on_behalf_of(deadline.abandoned)
            if queue.cancelled_caught:
                raise ClientDisconnect
            turn = _Turn(deadline, self._free, self._long, self._long_waiting)
            try:
                if deadline.passed():
                    raise HTTPException(503, BUSY_MESSAGE, BUSY)
                return await anyio.to_thread.run_sync(turn.run, job, is_long, limiter=self._threads)
            finally:
                turn.give_place()
        except AbandonedError:
            raise ClientDisconnect from None
        finally:
            watch.cancel()
            deadline.abandon()
            self._deadlines.discard(deadline.abandoned)

    def abandon(self) -> None:
        """Have all that runs stop at its next look."""
        for abandoned in self._deadlines:
            abandoned.set()


class BriefKinds:
    """Which kinds of jobs are brief: those that took little time on average, the last ones above
    all. A kind that is new is not.
    """

    def __init__(self) -> None:
        self._ms: dict[Hashable, float] = {}

    def has(self, kind: Hashable) -> bool:
        """Whether jobs of a kind are brief."""
        return self._ms.get(kind, math.inf) < BRIEF_MS

    @contextmanager
    def timed(self, kind: Hashable, clock: Callable[[], float]) -> Iterator[None]:
        """Take note of the seconds by ``clock`` of a job, unless it fails."""
        begun = clock()
        yield
        took = 1000 * (clock() - begun)
        if kind not in self._ms and len(self._ms) >= MOST_KINDS:
            self._ms.clear()
        before = self._ms.get(kind, 10 * BRIEF_MS)
        self._ms[kind] = before + LAST_SHARE * (took - before)


class _Turn:
    """One job's place among the short ones, or later among the long ones."""

    def __init__(
        self,
        deadline: Deadline,
        places: anyio.CapacityLimiter,
        long: threading.Semaphore,
        long_waiting: threading.Semaphore,
    ) -> None:
        self._deadline = replace(deadline, on_look=self._look)
        self._end = deadline.end
        self._loop = asyncio.get_running_loop()
        self._places, self._has_place = places, True
        self._long, self._long_waiting = long, long_waiting
        self._is_long = self._has_long = False
        self._begun = 0.0

    def give_place(self) -> None:
        """Let the next short job begin; in the event loop."""
        if self._has_place:
            self._has_place = False
            self._places.release_on_behalf_of(self._deadline.abandoned)

    def run(self, job: Callable[[Deadline], T], is_long: bool) -> T:
        """The job; in a thread."""
        self._begun = time.thread_time()
        try:
            if is_long:
                self._become_long()
            return job(self._deadline)
        finally:
            if self._has_long:
                self._long.release()

    def _look(self) -> None:
        if not self._is_long and time.thread_time() - self._begun >= SHORT_SECONDS:
            self._become_long()

    def _become_long(self) -> None:
        self._is_long = True
        if not self._long_waiting.acquire(blocking=False):
            raise HTTPException(503, BUSY_MESSAGE, BUSY)
        try:
            self._loop.call_soon_threadsafe(self.give_place)
            # Whose time is up goes on without: it only has to say so.
            while not self._has_long and time.perf_counter() < self._end:
                self._has_long = self._long.acquire(timeout=POLL_SECONDS)
                if self._deadline.abandoned.is_set():
                    raise AbandonedError
        finally:
            self._long_waiting.release()


async def _abandon_when_gone(
    request: Request, deadline: Deadline, queue: anyio.CancelScope
) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    deadline.abandon()
    queue.cancel()
