"""A lock file: one holder at a time over all processes and threads."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

POLL_INTERVAL = 0.01  # seconds


class FileLock:
    """Exclusive; the system frees it when its holder dies. The file names the holder's pid.

    It is filelock's lock on a file that is opened here: ``filelock.FileLock`` makes the folders
    above its file, and so would bring back the folder of a collection that was just deleted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(self, wait: float) -> Iterator[bool]:
        """Hold the lock inside; yields False where it isn't free within ``wait`` seconds.

        Raises:
            FileNotFoundError: the folder of the file is gone.
        """
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _locked(handle, wait):
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


def _locked(handle: int, wait: float) -> bool:
    # Imported here: reading, which takes no lock, starts sooner without it.
    from filelock import lock_descriptor

    deadline = time.monotonic() + wait
    while not lock_descriptor(handle, blocking=False):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_INTERVAL)
    return True
