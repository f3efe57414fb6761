"""Folders that appear under their name whole, or not at all."""

from __future__ import annotations

import ctypes
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Of Linux' renameat2(2).
AT_FDCWD, RENAME_EXCHANGE = -100, 2


@contextmanager
def appearing(
    folder: Path, *, replace: bool = False, parents: bool = False, durable: bool = False
) -> Iterator[Path]:
    """A folder to fill, which gets its name when the block ends without an error.

    A killed process leaves only a hidden folder ``.NAME.*.partial`` beside it.

    Args:
        folder: its path.
        replace: whether it takes the place of what is there, which comes back where that fails.
        parents: whether folders above it are made.
        durable: whether it is flushed to disk before and after it gets its name. What is written
            inside is not: files and inner folders are flushed by who fills it.

    Raises:
        OSError: it can't be made, or something is there that is not to be replaced.
    """
    if parents:
        folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent, ignore_cleanup_errors=True
    ) as place:
        new, old = Path(place, "new"), Path(place, "old")
        new.mkdir()
        yield new
        if durable:
            flush_folder(new)
        if replace and folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
        if durable:
            flush_folder(folder.parent)


def exchange(first: Path, second: Path) -> None:
    """Give each of two folders the name of the other, in one instant; durable.

    Raises:
        OSError: their file system, or the system, can't.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    here = ctypes.c_int(AT_FDCWD)
    names = [os.fsencode(path.absolute()) for path in (first, second)]
    if call(here, names[0], here, names[1], ctypes.c_uint(RENAME_EXCHANGE)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(first), None, str(second))
    for folder in {first.parent, second.parent}:
        flush_folder(folder)


def flush_folder(folder: Path) -> None:
    """Make a rename in a folder durable."""
    _flush(folder)


def flush_file(path: Path) -> None:
    """Make what a file holds durable."""
    _flush(path)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
