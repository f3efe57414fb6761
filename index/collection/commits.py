"""The commits file: which commit of a store was the last, told apart from the store.

SQLite ends a write-ahead log at the first frame that is not whole, and what comes after is as if
it had never been written. So each commit has a random token, the store keeps the last two, and
this file the newest: it is on disk before a write is acknowledged, and after the commit itself,
so a store may be one commit ahead of its file, as after a crash between the two, and never behind.

The file is two slots of 512 bytes, written in turns and in place, which takes no space on a full
disk; of a slot that was torn the other is left. A slot is one line: identity, revision, token, and
a checksum over these.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from index.collection.schema import row_checksum
from index.collection.settings import read_setting
from lsr.errors import CorruptionError
from lsr.whole_folder import flush_folder

SLOT = 512


class CommitsError(CorruptionError):
    """The store is not at the commit that was the last, or there is no saying which that was."""


class Commit(NamedTuple):
    """A commit: of which store, the how manieth, and its token."""

    identity: str
    revision: int
    token: str


class CommitsFile:
    """Reads and writes the file at a path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, store: Path) -> CommitsFile:
        """The file of a store."""
        return cls(store.with_suffix(".commits"))

    def create(self, commit: Commit) -> None:
        """Write a file that appears whole and on disk."""
        temporary = self.path.with_name(f"{self.path.name}.new")
        with temporary.open("wb") as stream:
            stream.write(2 * _slot(commit))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self.path)
        flush_folder(self.path.parent)

    def write(self, commit: Commit) -> None:
        """Put a commit on disk, unless a later one is there.

        Raises:
            OSError: it can't be written.
        """
        with self.path.open("r+b", buffering=0) as stream:
            newest = _newest(os.pread(stream.fileno(), 2 * SLOT, 0))
            if newest is not None and newest.revision >= commit.revision:
                return
            os.pwrite(stream.fileno(), _slot(commit), SLOT * (commit.revision % 2))
            getattr(os, "fdatasync", os.fsync)(stream.fileno())

    def newest(self) -> Commit:
        """The newest commit that it vouches for.

        Raises:
            CommitsError: the file is missing or damaged.
        """
        found = None
        try:
            with self.path.open("rb") as stream:
                found = _newest(stream.read(2 * SLOT))
            reason = "is damaged"
        except OSError as error:
            reason = f"can't be read ({error.strerror})"
        if found is None:
            raise CommitsError(
                f"the file {self.path}, which says what was written last, {reason}; put it back, "
                "restore a snapshot, or trust the collection as it is with: "
                f"lsr check {self.path.parent} --repair"
            )
        return found


def check_commit(connection: sqlite3.Connection, commits: CommitsFile) -> Commit:
    """The last commit of a store, which must be the one that its commits file has, or the next.

    Raises:
        CommitsError: commits are missing, or are not the collection's own.
        CorruptionError: a setting is damaged.
    """
    folder = commits.path.parent
    # In this order: what the file has was committed before, and so must be in the store.
    newest = commits.newest()
    for _ in range(100):
        last, previous = last_commit(connection, commits.path.with_suffix(".sqlite"))
        if newest in (last, last._replace(revision=last.revision - 1, token=previous)):
            return last
        if newest.identity == last.identity and newest.revision > last.revision:
            missing = newest.revision - last.revision
            raise CommitsError(
                f"the collection {folder} lacks its last {missing} commits: it is at "
                f"{last.revision} and {newest.revision} was acknowledged; restore a snapshot, or "
                f"go on without them with: lsr check {folder} --repair"
            )
        # Others may have written in between, and they write the file before they commit again.
        later = commits.newest()
        if later.identity != last.identity or later.revision < last.revision - 1:
            break
        if later == newest:
            break
        newest = later
    raise CommitsError(
        f"the collection {folder} holds commits that are not its own, as where the file "
        "collection.sqlite-wal of another was laid beside it; put its own back, restore a "
        f"snapshot, or have it looked through with: lsr check {folder} --repair"
    )


def last_commit(connection: sqlite3.Connection, path: Path) -> tuple[Commit, str]:
    """The last commit of a store, and the token of the one before it."""
    names = ("identity", "revision", "commit", "previous")
    began = not connection.in_transaction
    if began:
        connection.execute("BEGIN")
    try:
        identity, revision, token, previous = (
            read_setting(connection, path, name) for name in names
        )
    finally:
        if began:
            # Of a damaged file even that may fail.
            with suppress(sqlite3.DatabaseError):
                connection.execute("COMMIT")
    return Commit(identity, revision, token), previous


def _slot(commit: Commit) -> bytes:
    line = f"{commit.identity} {commit.revision} {commit.token or '-'}"
    return f"{line} {row_checksum(line).hex()}\n".encode().ljust(SLOT, b"\0")


def _newest(content: bytes) -> Commit | None:
    found = [_parse(content[start : start + SLOT]) for start in (0, SLOT)]
    return max((commit for commit in found if commit is not None), key=_revision, default=None)


def _revision(commit: Commit) -> int:
    return commit.revision


def _parse(slot: bytes) -> Commit | None:
    try:
        identity, revision, last, _ = slot.partition(b"\n")[0].decode().split(" ")
        commit = Commit(identity, int(revision), last.strip("-"))
    except ValueError:
        return None
    return commit if _slot(commit) == slot else None
