"""Tasks as the HTTP server sees them: asked for here, done in a process beside it."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import threading
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from typing import Any

from fastapi import HTTPException, Request

from index.collection.file_lock import FileLock
from lsr.encoding.worker_pool import interrupts_held
from lsr.errors import LsrError
from lsr.trusted_code import TrustedCode
from service.api.indexes import Indexes
from service.api.lifecycle import Lifecycle
from service.api.work import BUSY
from service.settings import ServerSettings
from service.state.aliases import Aliases
from service.state.database import StateDatabase
from service.state.places import Places
from service.state.task_bodies import TaskBodies
from service.state.task_details import TaskDetails
from service.state.tasks import Task, Tasks
from service.tasks.process import do_tasks, lock_file

MOST_WAITING = 1000
# For which a request waits for its task, and until it looks first and again, later.
LONGEST_WAIT, LOOK_SECONDS, LONGEST_PAUSE = 60.0, 0.05, 1.0
# Between two looks whether there is a task and no process that does it.
TICK_SECONDS = 0.5
# Between two starts of that process, and two looks for files of what was deleted.
START_SECONDS, TIDY_SECONDS = 2.0, 5.0
log = logging.getLogger(__name__)


class LongWork:
    """What a server's routes use of tasks, and the thread that has a process do them.

    Each worker process of a server has one of these. Whichever sees first that there is work and
    nobody at it starts the process that does it, which ends with the worker that started it.
    """

    def __init__(
        self,
        settings: ServerSettings,
        indexes: Indexes,
        state: StateDatabase,
        trusted: TrustedCode,
    ) -> None:
        self.settings = settings
        self.tasks = Tasks(state, settings.tasks_kept)
        self.details = TaskDetails(state)
        self._bodies = TaskBodies(state)
        aliases = Aliases(state)
        indexes.aliases = aliases
        self.lifecycle = Lifecycle(indexes, state, aliases, self.tasks, trusted)
        self._indexes, self._state, self._trusted = indexes, state, trusted
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._process: BaseProcess | None = None
        self._started = self._tidied = -float("inf")

    def start(self) -> None:
        """Begin to look after tasks, and finish what a server before this one was deleting."""
        try:
            self.lifecycle.finish_deletions()
        # It is tried again later.
        except (LsrError, OSError) as error:
            log.error("a deletion can't be finished: %s", error)
        self._thread = threading.Thread(target=self._look_after, name="tasks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the process that does tasks, if it is this server's; it is as if it were killed."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def enqueue(self, kind: str, index: str, parameters: Mapping[str, Any]) -> Task:
        """Ask for a task.

        Raises:
            HTTPException: too many wait.
        """
        self._check_waiting()
        task = self.tasks.enqueue(kind, index, parameters)
        self._wake.set()
        return task

    def enqueue_body(self, kind: str, index: str, body: bytes | bytearray) -> Task:
        """Ask for a task that does what a body says, which is on disk when it is there.

        Raises:
            HTTPException: too many wait.
            OverloadedError: those that wait hold too many bytes.
        """
        self._check_waiting()
        with self._state.writing() as connection:
            task = self.tasks.enqueue_in(connection, kind, index, {"bytes": len(body)})
            self._bodies.keep(connection, task.id, body)
        self._wake.set()
        return task

    def _check_waiting(self) -> None:
        if self.tasks.unfinished() >= MOST_WAITING:
            message = f"{MOST_WAITING} tasks wait already; try again when some are done"
            raise HTTPException(503, message, BUSY)

    async def finished(self, request: Request, task: Task) -> Task:
        """A task once it has ended, or as it is when the client or the server waits no longer."""
        end, pause = time.monotonic() + LONGEST_WAIT, LOOK_SECONDS
        while not task.is_finished and time.monotonic() < end:
            if self._indexes.stopping or await request.is_disconnected():
                break
            await asyncio.sleep(pause)
            pause = min(1.2 * pause, LONGEST_PAUSE)
            task = await asyncio.to_thread(self.tasks.__getitem__, task.id)
        return task

    def _look_after(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self._start_where_needed()
                self._tidy()
            # Whatever it is, it is tried again.
            except Exception as error:
                told = None if isinstance(error, LsrError | OSError) else error
                log.error("tasks can't be looked after: %s", error, exc_info=told)
            self._wake.wait(TICK_SECONDS)

    def _start_where_needed(self) -> None:
        if self._process is not None and not self._process.is_alive():
            self._process.join()
            self._process = None
        now = time.monotonic()
        if self._process is not None or now - self._started < START_SECONDS:
            return
        if self._stop.is_set() or not self.tasks.unfinished():
            return
        with FileLock(lock_file(self._state.path)).held(wait=0) as is_free:
            if not is_free:
                return
        self._started = now
        process = multiprocessing.get_context("spawn").Process(
            target=do_tasks,
            args=(
                self.settings.model_copy(update={"admin_key": None}),
                self._state.path.absolute(),
                self._trusted,
            ),
            name="lsr tasks",
            daemon=True,
        )
        with interrupts_held():
            process.start()
        self._process = process

    def _tidy(self) -> None:
        """Let go of files of indexes that are gone, and remove those of deleted ones."""
        now = time.monotonic()
        if now - self._tidied < TIDY_SECONDS:
            return
        self._tidied = now
        self.lifecycle.finish_deletions()
        self._indexes.release_gone()
        for path in self.settings.folders:
            Places(path).remove_leftovers()
