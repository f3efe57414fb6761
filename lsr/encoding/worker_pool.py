"""Several processes at one kind of work, with results in the order of the work."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Generic, Self, TypeVar

from lsr.errors import LsrError, UsageError
from lsr.threads import available_cores, limit_threads

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")
ContextT = TypeVar("ContextT")
MOST_PROCESSES = 512
NOTED_WITHIN_S = 5.0


class WorkerPool(Generic[JobT, ResultT]):
    """Processes that each call ``load`` once and then its result for one job after the other.

    They are started with the first job, spawned and not forked, for threads don't survive a fork;
    so ``load`` must be importable, and a script that uses a pool needs ``if __name__ ==
    "__main__":``. Each gets its share of the cores. They end with the ``with`` block at the
    latest, at once and in the middle of a job if need be, and also when this process is killed.

    Args:
        load: called in each process.
        processes: how many, 1 to 512.

    Raises:
        UsageError: ``processes`` is not allowed.
    """

    def __init__(self, load: Callable[[], Callable[[JobT], ResultT]], processes: int) -> None:
        check_processes(processes)
        self.processes = processes
        self._load = load
        self._workers: list[_Worker[JobT, ResultT]] = []
        self._idle: queue.SimpleQueue[_Worker[JobT, ResultT]] = queue.SimpleQueue()
        # A thread for each process: it waits for the answer, so nothing else has to.
        self._threads = ThreadPoolExecutor(processes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()
        self._threads.shutdown(cancel_futures=True)

    def map(
        self, jobs: Iterable[tuple[ContextT, JobT | None]]
    ) -> Iterator[tuple[ContextT, ResultT | None]]:
        """Each job's context with the job's result, in the order of the jobs.

        At most two jobs for each process are taken ahead of what is yielded. A job of None goes
        to no process and has the result None.

        Raises:
            LsrError: a job raised it; or raised something else, or its process has died.
        """
        waiting: deque[tuple[ContextT, Future[ResultT | None]]] = deque()
        for context, job in jobs:
            waiting.append((context, self._submit(job)))
            while waiting and (len(waiting) >= 2 * self.processes or waiting[0][1].done()):
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()

    def _submit(self, job: JobT | None) -> Future[ResultT | None]:
        if job is None:
            nothing: Future[ResultT | None] = Future()
            nothing.set_result(None)
            return nothing
        if not self._workers:
            self._start()
        return self._threads.submit(self._run, job)

    def _start(self) -> None:
        threads = max(1, available_cores() // self.processes)
        for _ in range(self.processes):
            worker = _Worker(self._load, threads)
            self._workers.append(worker)
            self._idle.put(worker)

    def _run(self, job: JobT) -> ResultT | None:
        worker = self._idle.get()
        try:
            return worker.run(job)
        finally:
            self._idle.put(worker)


def check_processes(processes: int) -> None:
    """Raise UsageError unless 1 <= processes <= 512."""
    if not 1 <= processes <= MOST_PROCESSES:
        raise UsageError(f"{processes} processes were asked for; allowed are 1 to {MOST_PROCESSES}")


@dataclass(frozen=True, slots=True)
class _Done(Generic[ResultT]):
    result: ResultT


@dataclass(frozen=True, slots=True)
class _Failed:
    """What a job raised: the error where it is one of ours, and its traceback as text."""

    error: LsrError | None
    reason: str
    trace: str


class _Worker(Generic[JobT, ResultT]):
    """One process, and this end of the pipe to it."""

    def __init__(self, load: Callable[[], Callable[[JobT], ResultT]], threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, load, threads), name="lsr worker", daemon=True
        )
        with interrupts_held(), theirs:
            self._process.start()

    def run(self, job: JobT) -> ResultT:
        """Have one job done; returns when it is."""
        try:
            self._pipe.send(job)
            answer: _Done[ResultT] | _Failed = self._pipe.recv()
        except (EOFError, OSError):
            raise LsrError(self._end()) from None
        if isinstance(answer, _Done):
            return answer.result
        if answer.error is not None:
            raise answer.error from _WorkerTraceback(answer.trace)
        raise LsrError(
            f"a worker process failed ({answer.reason}); what was finished before is kept, so see "
            "to the cause and run the same again"
        ) from _WorkerTraceback(answer.trace)

    def stop(self) -> None:
        """End the process at once."""
        self._process.terminate()
        self._process.join()

    def _end(self) -> str:
        return (
            f"a worker process {_told(self._exit_code())}, for which a lack of memory is a common "
            "cause; what was finished before is kept, so run the same again, with fewer processes "
            "if memory is short"
        )

    def _exit_code(self) -> int | None:
        """Below 0 for a signal; None where it can't be known, as something else collected it."""
        self._process.join()
        # The system tells how a process ended once only, and any thread may be the one that is
        # told: multiprocessing asks for all of them whenever it starts one. Then join() returns
        # here at once, maybe before that thread has noted what it was told.
        until = time.monotonic() + NOTED_WITHIN_S
        while (code := self._process.exitcode) is None and time.monotonic() < until:
            time.sleep(0.01)
        return code


def _told(code: int | None) -> str:
    """How a process ended, in words."""
    if code is None:
        return "ended"
    if code >= 0:
        return f"ended with exit code {code}"
    names = {number.value: number.name for number in signal.Signals}
    return f"was ended by {names.get(-code, f'signal {-code}')}"


class _WorkerTraceback(Exception):  # noqa: N818
    """The traceback of another process, for display as the cause of an error here."""

    def __init__(self, trace: str) -> None:
        super().__init__(f"\n{trace}")


def _serve(pipe: Connection, load: Callable[[], Callable[[JobT], ResultT]], threads: int) -> None:
    """Answer jobs until the other end of the pipe is closed."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    limit_threads(threads)
    work: Callable[[JobT], ResultT] | None = None
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            job = pipe.recv()
            answer: _Done[ResultT] | _Failed
            try:
                work = work or load()
                answer = _Done(work(job))
            except Exception as error:
                reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
                ours = error if isinstance(error, LsrError) else None
                answer = _Failed(ours, reason, traceback.format_exc())
            pipe.send(answer)


def end_with_parent() -> None:
    """End this process, whatever it is at, when the one that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Processes started inside get no SIGINT from the terminal: this process ends them.

    A blocked signal stays blocked in a spawned process; here it arrives after the block.
    """
    # Else the first spawn starts the tracker, which unblocks the signal.
    resource_tracker.ensure_running()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
