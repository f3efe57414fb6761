"""What a step needs besides the model, made while the model computes the step before."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Ahead(Generic[Made]):
    """``make`` of each step, in a thread and one step ahead.

    Args:
        make: takes the number of a step. Never two at a time.
        may: whether what that step needs can be made before the step before it has ended.
    """

    def __init__(self, make: Callable[[int], Made], may: Callable[[int], bool]) -> None:
        self._make = make
        self._may = may
        self._pool = ThreadPoolExecutor(1, "lsr-ahead")
        self._waiting: tuple[int, Future[Made]] | None = None

    def __call__(self, step: int) -> Made:
        """What the step needs; raises what ``make`` does."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting[0] != step:
            waiting[1].result()
            waiting = None
        made = self._make(step) if waiting is None else waiting[1].result()
        if self._may(step + 1):
            self._waiting = step + 1, self._pool.submit(self._make, step + 1)
        return made
