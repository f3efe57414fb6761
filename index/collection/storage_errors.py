"""Which failures of a disk are told apart: a full one, and all others."""

from __future__ import annotations

import errno
import sqlite3

from lsr.errors import LsrError, StorageFullError

FULL = {errno.ENOSPC, errno.EDQUOT}


def write_error(sentence: str, error: OSError | sqlite3.Error) -> LsrError:
    """What to raise for a write that failed: StorageFullError where the disk was full."""
    return (StorageFullError if is_full(error) else LsrError)(sentence)


def is_full(error: OSError | sqlite3.Error) -> bool:
    """Whether a disk, or the user's share of it, was full."""
    if isinstance(error, OSError):
        return error.errno in FULL
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
