"""The process that does the long work of a server: tasks that change, and tasks that read."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from index.collection.file_lock import FileLock
from lsr.encoding.worker_pool import end_with_parent
from lsr.errors import LsrError
from lsr.trusted_code import TrustedCode
from service import logs
from service.api.indexes import Indexes
from service.api.lifecycle import Lifecycle
from service.settings import ServerSettings
from service.state.aliases import Aliases
from service.state.database import StateDatabase
from service.state.places import Places
from service.state.task_bodies import TaskBodies
from service.state.tasks import Task, Tasks
from service.tasks.bulk import write_bulk
from service.tasks.copies import restore_snapshot, take_snapshot
from service.tasks.evaluation import evaluate
from service.tasks.imports import import_documents
from service.tasks.reencoding import reencode
from service.tasks.run import Canceled, Run
from service.tasks.upkeep import check_index, merge

CHANGING: Mapping[str, Callable[[Run], dict[str, Any]]] = {
    "bulk": write_bulk,
    "import": import_documents,
    "reencode": reencode,
    "merge": merge,
    "restore": restore_snapshot,
}
READING: Mapping[str, Callable[[Run], dict[str, Any]]] = {
    "snapshot": take_snapshot,
    "check": check_index,
    "evaluate": evaluate,
}
KINDS = {**CHANGING, **READING}
# Searches go before.
NICENESS = 10
POLL_SECONDS = 0.1
# Without a task, after which the process ends; its memory is the system's again.
IDLE_SECONDS = 20.0
LOCK_SECONDS = 5.0
FAILED = "the task failed; the server's log has the reason under its id"
log = logging.getLogger(__name__)


def lock_file(state: Path) -> Path:
    """The file whose lock the one process that does tasks holds."""
    return state.with_name(f"{state.name}.tasks")


def do_tasks(settings: ServerSettings, state_file: Path, trusted: TrustedCode) -> None:
    """Do the tasks of a server until there have been none for a while.

    Of several processes one does tasks, and the others end.
    """
    threading.Thread(target=end_with_parent, daemon=True).start()
    logging.basicConfig(level=logging.WARNING)
    logs.set_up(settings)
    with suppress(OSError):
        os.nice(NICENESS)
    # Without a folder the state is gone, and so is whoever asked for tasks.
    with suppress(FileNotFoundError), FileLock(lock_file(state_file)).held(LOCK_SECONDS) as held:
        if held:
            _Work(settings, StateDatabase(state_file), trusted).go_on()


class _Work:
    """The tasks of a server, a thread for those that change and one for those that read."""

    def __init__(
        self, settings: ServerSettings, state: StateDatabase, trusted: TrustedCode
    ) -> None:
        self._settings, self._trusted = settings, trusted
        self._tasks = Tasks(state, settings.tasks_kept)
        self._bodies = TaskBodies(state)
        # One that is gone since the server began is no reason to do nothing for the others.
        there = [each for each in settings.paths if not isinstance(each, Path) or each.exists()]
        indexes = Indexes(there, trusted)
        aliases = Aliases(state)
        indexes.aliases = aliases
        self._lifecycle = Lifecycle(indexes, state, aliases, self._tasks, trusted)
        self._busy = 0
        self._last = time.monotonic()
        self._counting = threading.Lock()

    def go_on(self) -> None:
        """Begin what was interrupted again, then do what comes; ends after an idle while."""
        self._tasks.resume()
        lanes = [
            threading.Thread(target=self._lane, args=[kinds], daemon=True)
            for kinds in (CHANGING, READING)
        ]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()

    def _lane(self, kinds: Mapping[str, Callable[[Run], dict[str, Any]]]) -> None:
        while self._busy or time.monotonic() - self._last < IDLE_SECONDS:
            try:
                task = self._tasks.claim(list(kinds))
                if task is not None:
                    self._do(task, kinds[task.kind])
                    continue
            # As of a full disk: it is tried again.
            except LsrError as error:
                log.error("the tasks can't be kept: %s", error)
            time.sleep(POLL_SECONDS)

    def _do(self, task: Task, work: Callable[[Run], dict[str, Any]]) -> None:
        run = Run(task, self._tasks, self._lifecycle, self._settings, self._trusted)
        self._count(1)
        try:
            self._tasks.finish(task, "succeeded", result=work(run))
        except Canceled:
            self._tasks.finish(task, "canceled")
        # Whatever it is, the other tasks go on.
        except Exception as error:
            known = isinstance(error, LsrError)
            log.error("the task %s failed: %s", task.id, error, exc_info=not known)
            self._tasks.finish(task, "failed", error=self._told(error))
        finally:
            self._remove_folder(task)
            self._bodies.tidy()
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._counting:
            self._busy += change
            self._last = time.monotonic()

    def _told(self, error: Exception) -> dict[str, str]:
        # Imported here: it brings all of FastAPI, and is seldom needed.
        from service.api.errors import STATUS

        kind = next((each for each in type(error).__mro__ if each in STATUS), None)
        if kind is None:
            return {"type": "failed", "message": FAILED}
        message = self._lifecycle.indexes.without_paths(str(error))
        for folder in self._settings.import_folders:
            path = str(folder.resolve())
            message = message.replace(f"{path}/", "").replace(path, folder.name)
        return {"type": STATUS[kind][1], "message": message}

    def _remove_folder(self, task: Task) -> None:
        for path in self._settings.folders:
            places = Places(path.absolute())
            if places.is_building(task.id):
                places.built(task.id)
