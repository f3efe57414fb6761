"""One task at work: what it may use, how it tells how far it is, and how it is stopped."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from index.collection.collection import Collection
from index.collection.writable import Writable
from index.collection.writer_lock import at_rest
from index.opening import open_collection
from lsr.errors import LockedError, NotFoundError
from lsr.trusted_code import TrustedCode
from service.api.lifecycle import Lifecycle
from service.settings import ServerSettings
from service.state.places import Places
from service.state.snapshots import Snapshots
from service.state.tasks import Task, Tasks

# Between two notes of how far a task is, and two looks whether it is to stop.
NOTE_SECONDS = 0.5
REST_SECONDS = 1.0


class Canceled(Exception):  # noqa: N818
    """The task was canceled, and left things as they were."""


@dataclass(slots=True)
class Run:
    """A task, and the server that it belongs to."""

    task: Task
    tasks: Tasks
    lifecycle: Lifecycle
    settings: ServerSettings
    trusted: TrustedCode
    _noted: float = field(default=0.0)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What was asked for."""
        return self.task.parameters

    @property
    def snapshots(self) -> Snapshots:
        """Of this server."""
        return Snapshots.of_server(self.settings, self.lifecycle.indexes)

    @property
    def places(self) -> Places:
        """Of the folder that the index is in, or is to be in."""
        indexes = self.lifecycle.indexes
        name = self.task.index
        return Places(indexes.folder_of(name)) if indexes.has(name) else self.lifecycle.places

    def open(self) -> Writable:
        """The index, opened for this task alone.

        Raises:
            NotFoundError: there is none of that name, not even by an alias.
        """
        if not self.lifecycle.indexes.has(self.task.index):
            raise NotFoundError(f"there is no index {self.task.index!r} any more")
        return open_collection(self.lifecycle.indexes.place_of(self.task.index), self.trusted)

    def open_directory(self) -> Collection:
        """The index, opened for this task alone, which is about its files.

        Raises:
            ConflictError: it is in Qdrant.
            NotFoundError: as ``open``.
        """
        if not self.lifecycle.indexes.has(self.task.index):
            raise NotFoundError(f"there is no index {self.task.index!r} any more")
        path = self.lifecycle.indexes.path_of(self.task.index)
        return Collection.open(path, trusted=self.trusted)

    def step(self, done: int, total: int | None) -> None:
        """Tell how far the task is, now and then.

        Raises:
            Canceled: it is to stop.
        """
        if time.monotonic() - self._noted < NOTE_SECONDS:
            return
        self._noted = time.monotonic()
        self.tasks.proceed(self.task, done, total)
        self.check()

    def check(self) -> None:
        """Raise Canceled where the task is to stop."""
        if self.tasks.is_canceled(self.task):
            raise Canceled

    @contextmanager
    def at_rest(self, path: Path) -> Iterator[None]:
        """Nobody else writes to a collection inside; waits for who does.

        Raises:
            Canceled: the task is to stop.
        """
        with ExitStack() as held:
            while True:
                try:
                    held.enter_context(at_rest(path, REST_SECONDS))
                    break
                except LockedError:
                    self.check()
            yield

    def put(self, made: Path, result: Mapping[str, Any], replace: bool) -> None:
        """Give what was made the name of the index, unless the task was canceled.

        What the task is to answer is noted before, so that a process that begins it again knows
        what was done.

        Raises:
            Canceled: it was.
            ConflictError: the name is taken.
        """
        self.tasks.note(self.task, json.dumps({"made": made.stat().st_ino, "result": result}))
        if not self.lifecycle.put(made, self.task.index, replace, self._is_wanted):
            raise Canceled

    def was_put(self, made: Path) -> Mapping[str, Any] | None:
        """The answer of a task that a process had put in place before it ended, if one had."""
        if not self.task.note:
            return None
        note = json.loads(self.task.note)
        is_here = made.exists() and made.stat().st_ino == note["made"]
        return None if is_here else note["result"]

    def _is_wanted(self, connection: sqlite3.Connection) -> bool:
        query = "SELECT cancel FROM tasks WHERE number = ?"
        return not connection.execute(query, (self.task.number,)).fetchone()[0]
