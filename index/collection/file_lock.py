"""A lock file: one holder at a time over all processes and threads."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from index.collection.regular_file import NotPlainFileError, open_plain
from lsr.errors import LsrError

LONGEST_PID = 20  # characters
POLL_INTERVAL = 0.01  # seconds


class FileLock:
    """Exclusive; the system frees it when its holder dies. The file names the holder's pid.

    It is filelock's lock on a file that is opened here: ``filelock.FileLock`` makes the folders
    above its file, and so would bring back the folder of a collection that was just deleted; and
    it would write to whatever a link in the place of the file leads to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(self, wait: float) -> Iterator[bool]:
        """Hold the lock inside; yields False where it isn't free within ``wait`` seconds.

        Raises:
            FileNotFoundError: the folder of the file is gone.
            LsrError: a link, or something else that is no plain file of its own, is in its place.
        """
        handle = self._open(os.O_RDWR | os.O_CREAT)
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
            handle = self._open(os.O_RDONLY)
            try:
                return int(os.pread(handle, LONGEST_PID, 0))
            finally:
                os.close(handle)
        except (OSError, ValueError, LsrError):
            return None

    def _open(self, flags: int) -> int:
        try:
            handle = open_plain(self.path, flags)
        except NotPlainFileError as error:
            raise LsrError(self._refusal("a link or no plain file")) from error
        # Its content is overwritten, and so is that of the other names of the file.
        if os.fstat(handle).st_nlink > 1:
            os.close(handle)
            raise LsrError(self._refusal("a hard link to another file"))
        return handle

    def _refusal(self, what: str) -> str:
        return f"the lock file {self.path} is {what}; remove it, and try again"


def _locked(handle: int, wait: float) -> bool:
    # Imported here: reading, which takes no lock, starts sooner without it.
    from filelock import lock_descriptor

    deadline = time.monotonic() + wait
    while not lock_descriptor(handle, blocking=False):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_INTERVAL)
    return True
