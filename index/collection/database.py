"""The SQLite file of a collection: connections, transactions, settings, the last commit."""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from index.collection.commits import Commit, CommitsFile, check_commit
from index.collection.connection_pool import ThreadConnections
from index.collection.new_database import check_sqlite
from index.collection.schema import APPLICATION_ID, MIGRATED_VERSION, OLDER_VERSION, VERSION
from index.collection.settings import read_setting, write_settings
from index.collection.storage_errors import is_damaged, read_error, write_error
from lsr.errors import CorruptionError, LockedError, LsrError, NotFoundError, UsageError

# Bytes of write-ahead log beyond which a write moves it into the file.
LARGEST_LOG = 4 << 20
log = logging.getLogger(__name__)
T = TypeVar("T")


class _Connection(sqlite3.Connection):
    # What ``_state_of`` said as it was opened, of one that holds only as long as that is so.
    state: tuple[object, ...] | None = None


class Database:
    """Its connections come from a bounded pool, one for each thread that uses it.

    ``read_only`` tells that its files may not be written: then none is changed, made or locked.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise NotFoundError(
                f"there is no collection at {path.parent}; create one with: "
                f"lsr index CORPUS --into {path.parent}"
            )
        self.path = path
        self.commits = CommitsFile.of(path)
        self._place = _place_of(path)
        self.read_only = not (may_write(path) and may_write(path.parent))
        self._connections = ThreadConnections(self._reader if self.read_only else self._writer)
        check_sqlite()
        # A connection that may write moves the log into the file as it closes: not before it is
        # known to be the file's own.
        first = self._reader() if self.read_only else self._connect("mode=ro")
        with closing(first) as connection:
            self._check_format(connection)
            check_commit(connection, self.commits)

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection, until its transaction ends or it reads another store."""
        while self._is_outdated(connection := self._connections.of_this_thread()):
            self._connections.close()
        return connection

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One consistent state of the store for all reads inside; may be nested.

        Raises:
            CorruptionError: the file is damaged.
        """
        connection = self.connection
        if connection.in_transaction:
            yield
            return
        connection.execute("BEGIN")
        try:
            yield
        except sqlite3.Error as error:
            if is_damaged(error):
                raise read_error(self.path, error) from error
            raise
        finally:
            # Of a damaged file even that may fail.
            with suppress(sqlite3.DatabaseError):
                connection.execute("COMMIT")
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._connections.release()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All writes inside, or none; on disk when the block ends.

        Raises:
            UsageError: the collection may only be read.
            CorruptionError: the file is damaged, or not at the commit that was the last.
            StorageFullError: the disk is full.
            LsrError: the file can't be written.
        """
        self.check_writable()
        connection = self.connection
        try:
            with self._transaction(connection) as commit:
                yield
            try:
                self.commits.write(commit)
            except OSError as error:
                # It is committed all the same. The next write begins by making up for this.
                log.warning("the file %s can't be written: %s", self.commits.path, error)
            self._checkpoint(connection)
        finally:
            self._connections.release()

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[Commit]:
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield self._begin_commit(connection)
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise write_error(
                    f"nothing was written to {self.path} ({error}); see that its disk has space "
                    "and works, and write again",
                    error,
                    self.path.parent,
                ) from error
            if isinstance(error, sqlite3.DatabaseError):
                raise read_error(self.path, error) from error
            raise

    def check_writable(self) -> None:
        """Raise UsageError where the collection may only be read."""
        if self.read_only:
            raise UsageError(
                f"the collection {self.path.parent} may only be read: its files or their disk are "
                "not writable for this user; give the user the right, or write where it has it"
            )

    def check_in_place(self) -> None:
        """See that the file is still the one that was opened.

        Raises:
            NotFoundError: it was deleted.
            LockedError: another one has its place, as after a restore; open it again.
        """
        found = _place_of(self.path)
        if found is None:
            raise NotFoundError(
                f"the collection {self.path.parent} was deleted while this was at work; create it "
                "anew, and do it again"
            )
        if found != self._place:
            raise LockedError(
                f"another collection took the place of {self.path.parent} while this was at work; "
                "open it, and do it again"
            )

    def close(self) -> None:
        """Close the connections that no other thread is using."""
        self._connections.close()

    def revision(self) -> int:
        """A number that grows with every committed write."""
        return int(self.setting("revision"))

    def setting(self, name: str, absent: Any = None) -> Any:
        """The value of a setting; ``absent`` where it was never written.

        Raises:
            CorruptionError: it is damaged, or was never written and ``absent`` is None.
        """
        return read_setting(self.connection, self.path, name, absent)

    def change(self, settings: Mapping[str, int | str]) -> None:
        """Change settings, or add them."""
        write_settings(self.connection, settings)

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """All that a query finds.

        Raises:
            CorruptionError: the file is damaged.
        """
        try:
            return self.connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise read_error(self.path, error) from error

    def read(self, rows: Iterator[T]) -> Iterator[T]:
        """Rows as they are read.

        Raises:
            CorruptionError: the file is damaged.
        """
        try:
            yield from rows
        except sqlite3.Error as error:
            raise read_error(self.path, error) from error

    def value(self, query: str, *parameters: object) -> Any:
        """What a query of one column finds first; None where it finds nothing."""
        found = self.rows(query, *parameters)
        return found[0][0] if found else None

    def damage(self, what: str) -> str:
        """The sentence that something in here is damaged."""
        return (
            f"the {what} is damaged in the store {self.path}; mend what can be mended with: "
            f"lsr check {self.path.parent} --repair"
        )

    def _begin_commit(self, connection: sqlite3.Connection) -> Commit:
        """What the transaction is to be, once the commits file has the one before it."""
        last = check_commit(connection, self.commits)
        try:
            self.commits.write(last)
        except OSError as error:
            raise write_error(
                f"nothing was written to {self.path} ({error}); see that its disk has space and "
                "works, and write again",
                error,
            ) from error
        commit = Commit(last.identity, last.revision + 1, secrets.token_hex(16))
        write_settings(
            connection,
            {"revision": commit.revision, "commit": commit.token, "previous": last.token},
        )
        return commit

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """Move a long log into the file, which loses and changes nothing if it fails.

        SQLite 3.7.0 to 3.51.2 lose commits where one connection starts the log anew while another
        moves it (the WAL-reset bug). So no connection does it by itself, and this one locks out all
        writers, and whoever else is at it, by a transaction that writes nothing.
        """
        try:
            if _size(_log_of(self.path)) < LARGEST_LOG:
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                with closing(self._connect("mode=rw")) as other:
                    other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            log.warning("the log of %s stays as long as it is: %s", self.path, error)

    def _connect(self, option: str) -> _Connection:
        uri = f"{self.path.resolve().as_uri()}?{option}"
        try:
            # The pool hands it from thread to thread, to one at a time.
            connection = sqlite3.connect(
                uri,
                uri=True,
                isolation_level=None,
                timeout=60,
                check_same_thread=False,
                factory=_Connection,
            )
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            self.check_in_place()
        except sqlite3.OperationalError as error:
            self.check_in_place()
            raise self._not_opened(error) from error
        # Python can't decode what SQLite says of a schema with a damaged name.
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise CorruptionError(f"{self.path} is not a collection: {error}") from error
        return connection

    def _writer(self) -> sqlite3.Connection:
        return self._connect("mode=rw")

    def _reader(self) -> sqlite3.Connection:
        """A connection of who can't make the files that coordinate readers with a writer.

        Where a writer has made both, they are read. Without a log no writer is at work, so the
        file can be read as one that never changes; ``connection`` looks whether that still holds.
        """
        journal, shared = _log_of(self.path), Path(f"{self.path}-shm")
        if journal.exists() and shared.exists():
            try:
                return self._connect("mode=ro")
            except LsrError:
                if journal.exists():
                    raise
        if _size(journal) > 0:
            raise LsrError(
                f"the collection {self.path.parent} was not closed by who wrote it last, and to "
                "read it so takes the right to write; open it once as its owner"
            )
        state = _state_of(self.path)
        connection = self._connect("immutable=1")
        connection.state = state
        return connection

    def _is_outdated(self, connection: sqlite3.Connection) -> bool:
        state = getattr(connection, "state", None)
        if state is None or connection.in_transaction:
            return False
        return bool(state != _state_of(self.path))

    def _check_format(self, connection: sqlite3.Connection) -> None:
        try:
            (kind,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.OperationalError as error:
            raise self._not_opened(error) from error
        except sqlite3.DatabaseError as error:
            raise CorruptionError(f"{self.path} is not a collection: {error}") from error
        if kind != APPLICATION_ID:
            raise CorruptionError(f"{self.path} is an SQLite file but not a collection")
        if version in (MIGRATED_VERSION, OLDER_VERSION):
            raise CorruptionError(
                f"the collection {self.path.parent} has format version {version}, of an earlier "
                f"release; bring it to {VERSION}, encoding nothing again, with: "
                f"lsr migrate {self.path.parent}"
            )
        if version != VERSION:
            raise CorruptionError(
                f"the collection {self.path.parent} has format version {version} and this release "
                f"reads {VERSION}; use the release that wrote it, or index again"
            )

    def _not_opened(self, error: sqlite3.Error) -> LsrError:
        return write_error(
            f"the collection {self.path.parent} can't be opened ({error}); see that its disk "
            "has space and works, and that its files may be read",
            error,
            self.path.parent,
        )


def may_write(path: Path) -> bool:
    """Whether this process may write a file, or make files in a folder."""
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.W_OK, effective_ids=effective)


def _place_of(path: Path) -> tuple[int, int] | None:
    """Device and number of a file; None where there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _log_of(path: Path) -> Path:
    return Path(f"{path}-wal")


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _state_of(path: Path) -> tuple[object, ...]:
    """What changes when a writer comes or goes."""
    found: list[object] = []
    for place in (path, _log_of(path)):
        try:
            state = place.stat()
            found += [state.st_ino, state.st_size, state.st_mtime_ns]
        except OSError:
            found.append(None)
    return tuple(found)
