"""Failures of the disk as errors that say what to do: a full one, a damaged file, all others."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from lsr.errors import CorruptionError, LsrError, StorageFullError

FULL = {errno.ENOSPC, errno.EDQUOT}
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def write_error(sentence: str, error: OSError | sqlite3.Error) -> LsrError:
    """What to raise for a write that failed: StorageFullError where the disk was full."""
    return (StorageFullError if is_full(error) else LsrError)(sentence)


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


def is_full(error: OSError | sqlite3.Error) -> bool:
    """Whether the disk, or the user's share of it, was full."""
    if isinstance(error, OSError):
        return error.errno in FULL
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
