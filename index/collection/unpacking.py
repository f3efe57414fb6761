"""Posting lists of large segments that were opened are unpacked beside what the process does."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

from index import _core
from index.engines.inverted_index import InvertedIndex
from lsr.errors import CorruptionError

log = logging.getLogger(__name__)
# Of the threads at work, so that searches and writes go first; of Linux, where threads have one.
NICENESS = 10


class _Background:
    """A thread while there is something to unpack; what nobody holds any more is left out."""

    def __init__(self) -> None:
        self._state = threading.Lock()
        self._waiting: deque[weakref.ref[InvertedIndex]] = deque()
        self._thread: threading.Thread | None = None
        self._ended = False

    def add(self, indexes: Iterable[InvertedIndex]) -> None:
        with self._state:
            self._waiting.extend(map(weakref.ref, indexes))
            if self._thread is None and self._waiting and not self._ended:
                thread = threading.Thread(target=self._run, name="unpacking", daemon=True)
                # Where there can be none more, lists are unpacked when they are searched.
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread

    def end(self) -> None:
        with self._state:
            self._ended = True
            thread = self._thread
        _core.end()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while (index := self._next()) is not None:
            try:
                index.complete(in_background=True)
            except CorruptionError as error:
                # Whoever searches it comes upon the same, and does what is to be done.
                log.warning("an index that was opened is damaged: %s", error)
            except (MemoryError, RuntimeError) as error:
                log.warning("lists are unpacked when they are searched, not before: %s", error)
            del index

    def _next(self) -> InvertedIndex | None:
        with self._state:
            while self._waiting and not self._ended:
                index = self._waiting.popleft()()
                if index is not None:
                    return index
            self._thread = None
            return None


_background = _Background()


def begin(indexes: Iterable[InvertedIndex]) -> None:
    """Have the lists of some indexes unpacked, after those of others that were opened before."""
    _background.add(indexes)


def _forked() -> None:
    # The thread is of the process before, and may have held the lock.
    global _background
    _background = _Background()


# Python must be there when the thread comes back to it.
atexit.register(lambda: _background.end())
os.register_at_fork(after_in_child=_forked)
