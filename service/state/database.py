"""The SQLite file of what a server keeps beside its collections, shared by its processes."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lsr.errors import LsrError, UsageError

BUSY_SECONDS = 5.0
# Of this format; another one is refused.
APPLICATION_ID, VERSION = 0x4C535253, 1
FOLDER, FILE = ".lsr", "server.sqlite"


def state_file(folder: Path) -> Path:
    """Where the state of a server of this folder is, if no other place is named."""
    return folder / FOLDER / FILE


class StateDatabase:
    """Tables of keys, aliases and tasks; for any number of threads and processes.

    A write is on disk when its block ends. Each kind of thing makes its own table, once, by
    ``define``. The file is for its owner alone.

    Args:
        path: the file, which is made where it is missing; None: a temporary one, gone with
            ``close``.

    Raises:
        UsageError: the file can't be made, or is none of a server's state.
    """

    def __init__(self, path: Path | None) -> None:
        self._temporary = tempfile.TemporaryDirectory() if path is None else None
        self.path = Path(self._temporary.name) / FILE if self._temporary else Path(str(path))
        self.is_kept = path is not None
        self._lock = threading.RLock()
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Never the file that is there already: to close it would give up the locks that other
            # connections of this process hold on it, and whoever closes the file next elsewhere
            # would take away the log under them.
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            self._connection = self._connected()
        except (OSError, sqlite3.Error) as error:
            raise UsageError(
                f"the server's state can't be kept in {self.path} ({error}); name another file "
                "with --state"
            ) from error

    def define(self, schema: str) -> None:
        """Make tables and indexes that are missing; ``schema`` says "if not exists"."""
        with self.writing() as connection:
            for statement in filter(str.strip, schema.split(";")):
                connection.execute(statement)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All writes inside, or none; on disk when the block ends.

        Raises:
            LsrError: the file can't be written.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise LsrError(
                        f"nothing was written to {self.path} ({error}); see that its disk has "
                        "space and works"
                    ) from error
                raise

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """What a query finds."""
        with self._lock:
            return self._connection.execute(query, parameters).fetchall()

    def version(self) -> int:
        """A number that changes when another process has written; cheap to ask for."""
        with self._lock:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the file, and delete it where it is temporary."""
        with self._lock:
            self._connection.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _connected(self) -> sqlite3.Connection:
        """A connection; waits for another process that is making the file, as SQLite doesn't."""
        end = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return self._connect()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        try:
            # Tables are looked for first: another process may be making the file, and says what it
            # is before it makes any.
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={VERSION}")
            found = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if (found, version) != (APPLICATION_ID, VERSION):
                raise sqlite3.DatabaseError("it is no state of this version of lsr serve")
            connection.execute("PRAGMA synchronous=FULL")
        except BaseException:
            connection.close()
            raise
        return connection
