"""Parts of one search at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from lsr.threads import available_cores, cores_are_shared, sharing_cores

T = TypeVar("T")


def at_once(jobs: Sequence[Callable[[], T]], here: Sequence[Callable[[], T]] = ()) -> list[T]:
    """What jobs return: ``jobs`` first, then ``here``, each in their order.

    ``here`` run in this thread, the only one that may read the store of a pinned view; where there
    are none, the last of the ``jobs`` does. So does then each that no other thread has begun: where
    all cores are busy, it takes as long as if they had followed each other.

    Raises:
        Exception: of the first that failed. None of the jobs runs any more then.
    """
    offered = list(jobs) if here else list(jobs[:-1])
    futures = [_pool().submit(_alike(job)) for job in offered]
    try:
        mine = [_outcome(job) for job in (*jobs[len(offered) :], *here)]
        outcomes = [
            _outcome(job) if future.cancel() else _outcome(future.result)
            for job, future in zip(offered, futures, strict=True)
        ]
    finally:
        _end(futures)
    results: list[T] = []
    for outcome in (*outcomes, *mine):
        if isinstance(outcome, Exception):
            raise outcome
        results.append(outcome)
    return results


def _outcome(job: Callable[[], T]) -> T | Exception:
    try:
        return job()
    except Exception as error:
        return error


def _alike(job: Callable[[], T]) -> Callable[[], T]:
    """The job, with as many cores as this thread gives it."""
    if not cores_are_shared():
        return job

    def shared() -> T:
        with sharing_cores():
            return job()

    return shared


def _end(futures: Sequence[Future[T]]) -> None:
    for future in futures:
        if not future.cancel():
            future.exception()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(available_cores(), "lsr-search")
