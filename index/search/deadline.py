"""Until when a search may take, and whether anybody still waits for it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

POLL_SECONDS = 0.05
T = TypeVar("T")


class AbandonedError(Exception):
    """Nobody waits for the answer any more; no user ever sees this."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment that one request is to end at, by ``time.perf_counter``; by default never.

    Each stage of a search looks at it: when it has passed, what is left to do is left out and the
    answer says so. When the request was abandoned, in whatever thread, the next look raises
    AbandonedError. ``on_look`` is called with each look, by the thread that does the work, and
    ``on_wait`` before it waits for another one that does some for it.
    """

    end: float = math.inf
    abandoned: threading.Event = field(default_factory=threading.Event)
    on_look: Callable[[], None] | None = None
    on_wait: Callable[[], None] | None = None

    @classmethod
    def after(cls, milliseconds: float) -> Self:
        """So many milliseconds from now."""
        return cls(time.perf_counter() + milliseconds / 1000)

    def sooner(self, end: float) -> Self:
        """The same, but at ``end`` where that is before."""
        return replace(self, end=min(self.end, end))

    def abandon(self) -> None:
        """Have the work stop at its next look."""
        self.abandoned.set()

    def passed(self) -> bool:
        """Whether the moment has come.

        Raises:
            AbandonedError: nobody waits any more.
        """
        if self.abandoned.is_set():
            raise AbandonedError
        if self.on_look is not None:
            self.on_look()
        return self.end != math.inf and time.perf_counter() >= self.end

    def wait(self, future: Future[T]) -> T:
        """What another thread makes for this work.

        Raises:
            AbandonedError: nobody waits any more.
            Exception: what the other thread has raised.
        """
        if self.on_wait is not None:
            self.on_wait()
        while not future.done():
            if self.abandoned.is_set():
                future.cancel()
                raise AbandonedError
            wait([future], timeout=POLL_SECONDS)
        return future.result()

    @property
    def left_ms(self) -> float:
        """Milliseconds until then; 0 where it has passed, infinite where it never comes."""
        return max(0.0, 1000 * (self.end - time.perf_counter()))
