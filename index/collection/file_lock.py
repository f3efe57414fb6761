"""A lock file: one holder at a time over all processes and threads."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class FileLock:
    """Exclusive; the kernel frees it when its holder dies. The file names the holder's pid."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(self, wait: bool) -> Iterator[bool]:
        """Hold the lock inside; yields False where it is taken and there is no waiting for it."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            # A full disk may leave the holder unnamed; the lock holds all the same.
            with suppress(OSError):
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield True
            with suppress(OSError):
                os.ftruncate(handle, 0)
        finally:
            os.close(handle)

    def holder(self) -> int | None:
        """The pid that the file names, if any."""
        try:
            return int(self.path.read_text())
        except (OSError, ValueError):
            return None
