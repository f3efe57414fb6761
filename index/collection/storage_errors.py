"""Failures of the disk as errors that say what to do: a full one, a damaged file, all others."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from lsr.errors import CorruptionError, LsrError, StorageFullError

FULL = {errno.ENOSPC, errno.EDQUOT}
# What SQLite says where a file can't be made or grown, whatever the reason.
UNSAID = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
# Bytes that opening a store for writing takes: its log and what coordinates readers.
LEAST_SPACE = 1 << 16
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def write_error(
    sentence: str, error: OSError | sqlite3.Error, folder: Path | None = None
) -> LsrError:
    """What to raise for a write that failed: StorageFullError where the disk was full.

    Args:
        sentence: the message.
        error: how it failed.
        folder: where SQLite made files; it does not say that there was no space for them.
    """
    return (StorageFullError if is_full(error, folder) else LsrError)(sentence)


def read_error(store: Path, error: sqlite3.Error) -> LsrError:
    """What to raise for a read of the store that failed: CorruptionError where it is damaged."""
    if is_damaged(error):
        return CorruptionError(
            f"the store {store} is damaged ({error}); see what is left with: "
            f"lsr check {store.parent}, or restore a snapshot"
        )
    return LsrError(f"the store {store} can't be read ({error}); see that its disk works")


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether SQLite says that a file is damaged."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in DAMAGED


def is_full(error: OSError | sqlite3.Error, folder: Path | None = None) -> bool:
    """Whether a disk, or the user's share of it, was full; ``folder`` as for ``write_error``."""
    if isinstance(error, OSError):
        return error.errno in FULL
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return True
    return folder is not None and _is_cramped(error, folder)


def _is_cramped(error: sqlite3.Error, folder: Path) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or code & 0xFF not in UNSAID:
        return False
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < LEAST_SPACE
