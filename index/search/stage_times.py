"""How long each stage of a search took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

told: ContextVar[Callable[[str, float, float], None] | None] = ContextVar("told", default=None)
"""What this thread tells of each stage that ended: its name, beginning and end, both as
``time.perf_counter`` has them.
"""


class StageTimes:
    """Wall time of the stages of one search, in the order in which they first began.

    A stage that was not asked for has no entry. Of a batch, times are those of all its queries.
    """

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time until the block ends to a stage, in milliseconds."""
        started = time.perf_counter()
        self.ms.setdefault(name, 0.0)
        try:
            yield
        finally:
            ended = time.perf_counter()
            self.ms[name] += 1000 * (ended - started)
            if (listener := told.get()) is not None:
                listener(name, started, ended)
