"""The work of requests, in threads: a bounded number at once, a bounded number in wait."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from index.search.deadline import AbandonedError, Deadline

BUSY = {"Retry-After": "1"}
T = TypeVar("T")


class Work:
    """Runs jobs in threads of its own number, so that one kind of request can't take all.

    Args:
        threads: jobs at once.
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

    async def run(self, request: Request, job: Callable[[Deadline], T]) -> T:
        """What a job returns, which is given the deadline that it should obey.

        A job is told to stop, or never begun, when its client is gone.

        Raises:
            HTTPException: too many wait, or this one has waited too long (503).
            ClientDisconnect: the client is gone.
        """
        if self._free.statistics().tasks_waiting >= self._most_waiting:
            raise HTTPException(503, "the server is busy; try again in a second", BUSY)
        deadline = Deadline.after(self._deadline_ms)
        self._deadlines.add(deadline.abandoned)
        queue = anyio.CancelScope()
        watch = asyncio.create_task(_abandon_when_gone(request, deadline, queue))
        try:
            with queue:
                await self._free.acquire_on_behalf_of(deadline.abandoned)
            if queue.cancelled_caught:
                raise ClientDisconnect
            try:
                if deadline.passed():
                    raise HTTPException(503, "the server is busy; try again in a second", BUSY)
                return await anyio.to_thread.run_sync(job, deadline, limiter=self._threads)
            finally:
                self._free.release_on_behalf_of(deadline.abandoned)
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


async def _abandon_when_gone(
    request: Request, deadline: Deadline, queue: anyio.CancelScope
) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    deadline.abandon()
    queue.cancel()
