"""Long work: what waits, what is being done, and what became of it."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lsr.errors import ConflictError, NotFoundError
from service.state.database import StateDatabase

SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    parameters TEXT NOT NULL,
    status TEXT NOT NULL,
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    cancel INTEGER NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT '',
    error TEXT,
    result TEXT
);
CREATE INDEX IF NOT EXISTS tasks_by_status ON tasks (status, number)
"""
Status = Literal["enqueued", "processing", "succeeded", "failed", "canceled"]
UNFINISHED: tuple[Status, ...] = ("enqueued", "processing")
MOST_ATTEMPTS = 3
"""Times that a task is begun of which the process has ended in the midst of it."""


@dataclass(frozen=True, slots=True)
class Task:
    """One task as of now.

    ``done`` of ``total`` steps are behind it, in units of its kind; None: not known how many there
    are. Times are seconds since 1970. ``note`` is what the task keeps for when it is begun again,
    and ``error`` the type and the sentence of a failure.
    """

    number: int
    id: str
    kind: str
    index: str
    parameters: Mapping[str, Any]
    status: Status
    done: int
    total: int | None
    created: float
    started: float | None
    finished: float | None
    attempts: int
    cancel: bool
    note: str
    error: Mapping[str, str] | None
    result: Mapping[str, Any] | None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.status not in UNFINISHED


class Tasks:
    """The tasks of a server, shared by its processes.

    Args:
        state: the file.
        kept: how many that have ended are kept, the latest.
    """

    def __init__(self, state: StateDatabase, kept: int) -> None:
        self.state = self._state = state
        self._kept = kept
        state.define(SCHEMA)

    def enqueue(self, kind: str, index: str, parameters: Mapping[str, Any]) -> Task:
        """Add a task, durably."""
        with self._state.writing() as connection:
            return self.enqueue_in(connection, kind, index, parameters)

    def enqueue_in(
        self,
        connection: sqlite3.Connection,
        kind: str,
        index: str,
        parameters: Mapping[str, Any],
    ) -> Task:
        """As ``enqueue``, in a transaction of the state."""
        connection.execute(
            "INSERT INTO tasks (id, kind, target, parameters, status, created) "
            "VALUES (?, ?, ?, ?, 'enqueued', ?)",
            (secrets.token_hex(8), kind, index, json.dumps(parameters), time.time()),
        )
        (row,) = connection.execute("SELECT * FROM tasks WHERE number = last_insert_rowid()")
        return _task(row)

    def __getitem__(self, identifier: str) -> Task:
        rows = self._state.rows("SELECT * FROM tasks WHERE id = ?", (identifier,))
        if not rows:
            raise NotFoundError(
                f"there is no task {identifier[:100]!r}; GET /v1/tasks lists those that are kept"
            )
        return _task(rows[0])

    def listed(
        self,
        limit: int,
        before: str | None = None,
        index: str | None = None,
        kinds: Sequence[str] = (),
        statuses: Sequence[str] = (),
    ) -> list[Task]:
        """The latest tasks first.

        Args:
            limit: at most so many.
            before: the id of a task, of which earlier ones are listed.
            index: the name of the index that they are of.
            kinds: only of these, if any are given.
            statuses: only of these, if any are given.

        Raises:
            NotFoundError: there is no task ``before``.
        """
        wanted, values = ["1"], list[object]()
        if before is not None:
            wanted.append("number < ?")
            values.append(self[before].number)
        if index is not None:
            wanted.append("target = ?")
            values.append(index)
        for column, allowed in (("kind", kinds), ("status", statuses)):
            if allowed:
                wanted.append(f"{column} IN ({', '.join('?' * len(allowed))})")
                values += allowed
        # Its parts are those above.
        query = f"SELECT * FROM tasks WHERE {' AND '.join(wanted)} ORDER BY number DESC LIMIT ?"  # noqa: S608
        return [_task(row) for row in self._state.rows(query, [*values, limit])]

    def unfinished(self) -> int:
        """How many wait or are being done."""
        query = "SELECT count(*) FROM tasks WHERE status IN ('enqueued', 'processing')"
        return int(self._state.rows(query)[0][0])

    def counts(self) -> dict[tuple[str, Status], int]:
        """How many there are of each kind and status; of those that have ended, as are kept."""
        query = "SELECT kind, status, count(*) FROM tasks GROUP BY kind, status"
        return {(kind, status): count for kind, status, count in self._state.rows(query)}

    def cancel(self, identifier: str) -> Task:
        """Have a task end: at once where it waits, else at its next step.

        Raises:
            NotFoundError: there is none.
            ConflictError: it has ended.
        """
        task = self[identifier]
        with self._state.writing() as connection:
            _cancel(connection, "id = ?", identifier)
        now = self[identifier]
        if task.is_finished or (now.is_finished and not now.cancel):
            raise ConflictError(f"the task {identifier!r} has ended: it is {now.status}")
        return now

    def cancel_of(self, connection: sqlite3.Connection, index: str) -> None:
        """Have all tasks of an index end; in a transaction of the state."""
        _cancel(connection, "target = ?", index)

    def claim(self, kinds: Sequence[str]) -> Task | None:
        """Begin the task of these kinds that has waited longest, if one waits."""
        marks = ", ".join("?" * len(kinds))
        waiting = f"SELECT min(number) FROM tasks WHERE status = 'enqueued' AND kind IN ({marks})"  # noqa: S608
        if self._state.rows(waiting, kinds)[0][0] is None:
            return None
        with self._state.writing() as connection:
            (number,) = connection.execute(waiting, kinds).fetchone()
            if number is None:
                return None
            connection.execute(
                "UPDATE tasks SET status = 'processing', started = ?, attempts = attempts + 1, "
                "done = 0, total = NULL WHERE number = ?",
                (time.time(), number),
            )
            (row,) = connection.execute("SELECT * FROM tasks WHERE number = ?", (number,))
            return _task(row)

    def resume(self) -> None:
        """Have those begin again at which a process was that has ended.

        It must be certain that none is being done.
        """
        sentence = f"the server ended {MOST_ATTEMPTS} times before it was done; its log may say why"
        with self._state.writing() as connection:
            connection.execute(
                "UPDATE tasks SET status = 'canceled', finished = ? "
                "WHERE status = 'processing' AND cancel",
                (time.time(),),
            )
            connection.execute(
                "UPDATE tasks SET status = 'failed', finished = ?, error = ? "
                "WHERE status = 'processing' AND attempts >= ?",
                (
                    time.time(),
                    json.dumps({"type": "interrupted", "message": sentence}),
                    MOST_ATTEMPTS,
                ),
            )
            connection.execute("UPDATE tasks SET status = 'enqueued' WHERE status = 'processing'")

    def proceed(self, task: Task, done: int, total: int | None) -> None:
        """Note how far a task is."""
        with self._state.writing() as connection:
            connection.execute(
                "UPDATE tasks SET done = ?, total = ? WHERE number = ?", (done, total, task.number)
            )

    def note(self, task: Task, note: str) -> None:
        """Keep something for when the task is begun again."""
        with self._state.writing() as connection:
            connection.execute("UPDATE tasks SET note = ? WHERE number = ?", (note, task.number))

    def is_canceled(self, task: Task) -> bool:
        """Whether a task that is being done is to end."""
        return bool(
            self._state.rows("SELECT cancel FROM tasks WHERE number = ?", (task.number,))[0][0]
        )

    def finish(
        self,
        task: Task,
        status: Status,
        result: Mapping[str, Any] | None = None,
        error: Mapping[str, str] | None = None,
    ) -> None:
        """Note how a task has ended; the earliest ones beyond those that are kept are forgotten."""
        with self._state.writing() as connection:
            connection.execute(
                "UPDATE tasks SET status = ?, finished = ?, result = ?, error = ? WHERE number = ?",
                (status, time.time(), _json(result), _json(error), task.number),
            )
            connection.execute(
                "DELETE FROM tasks WHERE number IN (SELECT number FROM tasks WHERE status NOT IN "
                "('enqueued', 'processing') ORDER BY finished DESC, number DESC LIMIT -1 OFFSET ?)",
                (self._kept,),
            )


def _cancel(connection: sqlite3.Connection, which: str, value: str) -> None:
    connection.execute(
        f"UPDATE tasks SET cancel = 1 WHERE {which} AND status IN ('enqueued', 'processing')",  # noqa: S608
        (value,),
    )
    connection.execute(
        "UPDATE tasks SET status = 'canceled', finished = ? WHERE cancel AND status = 'enqueued'",
        (time.time(),),
    )


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value)


def _task(row: sqlite3.Row) -> Task:
    values = dict(row)
    values["index"] = values.pop("target")
    values["cancel"] = bool(values["cancel"])
    for name in ("parameters", "error", "result"):
        values[name] = None if values[name] is None else json.loads(values[name])
    return Task(**values)
