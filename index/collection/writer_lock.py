"""The lock that a writer of a collection holds: fair among all threads and processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from index.collection.file_lock import FileLock
from lsr.errors import LockedError


class WriterLock:
    """Exclusive over threads and processes; re-entrant within a thread.

    Who wants the lock first takes the turn, and gives it back with the lock in hand. So a writer
    of many batches, which wants the lock again as soon as it has let go, comes after those who
    wait.

    Args:
        folder: of the collection; the locks are files in it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = FileLock(folder / "writer.lock")
        self._stages: tuple[tuple[_ThreadLock | FileLock, _ThreadLock | FileLock], ...] = (
            (_ThreadLock(), _ThreadLock()),
            (FileLock(folder / "writer.turn"), self._file),
        )
        self._owner: int | None = None

    @contextmanager
    def held(self, wait: float) -> Iterator[bool]:
        """Hold the lock inside; yields False where it isn't free within ``wait`` seconds.

        Raises:
            FileNotFoundError: the folder is gone.
        """
        thread = threading.get_ident()
        if self._owner == thread:
            yield True
            return
        with ExitStack() as held:
            if not self._take(held, time.monotonic() + wait):
                yield False
                return
            self._owner = thread
            try:
                yield True
            finally:
                self._owner = None

    def holder(self) -> int | None:
        """The pid of the process that holds it, if any is known."""
        return self._file.holder()

    def _take(self, held: ExitStack, deadline: float) -> bool:
        for turn, lock in self._stages:
            with turn.held(deadline - time.monotonic()) as first:
                if not first or not held.enter_context(lock.held(deadline - time.monotonic())):
                    return False
        return True


@contextmanager
def at_rest(folder: Path, wait: float) -> Iterator[None]:
    """Nobody writes to a collection, or builds its segments, inside; it need not be readable.

    Raises:
        FileNotFoundError: the folder is gone.
        LockedError: somebody has not let go of it within ``wait`` seconds.
    """
    deadline = time.monotonic() + wait
    with ExitStack() as held:
        builds = FileLock(folder / "maintenance.lock")
        for locks in (WriterLock(folder).held(wait), builds.held(deadline - time.monotonic())):
            if not held.enter_context(locks):
                raise LockedError(
                    f"another process is writing to {folder}; wait until it has finished"
                )
        yield


class _ThreadLock:
    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def held(self, wait: float) -> Iterator[bool]:
        """As of ``FileLock``, among the threads of a process."""
        taken = self._lock.acquire(timeout=min(max(wait, 0.0), threading.TIMEOUT_MAX))
        try:
            yield taken
        finally:
            if taken:
                self._lock.release()
