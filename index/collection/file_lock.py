"""A lock file: one holder at a time over all processes and threads."""

from __future__ import annotations

import os
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
    def held(self, wait: bool) -> Iterator[bool]:
        """Hold the lock inside; yields False where it is taken and there is no waiting for it.

        Raises:
            FileNotFoundError: the folder of the file is gone.
        """
        # Imported here: reading, which takes no lock, starts sooner without it.
        from filelock import lock_descriptor

        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not lock_descriptor(handle, blocking=wait, poll_interval=POLL_INTERVAL):
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
