"""Batches on all cores: a thread each, instead of every operation split over the cores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain, islice
from typing import TypeVar

Batch = TypeVar("Batch")
Result = TypeVar("Result")


def map_batches(work: Callable[[Batch], Result], batches: Iterable[Batch]) -> list[Result]:
    """``work`` of each batch, in their order.

    On a CPU as many batches at a time as torch has threads, each computed by one thread. Small
    operations then need no hand-over between threads, and results do not depend on the number of
    cores. A batch that is alone keeps all threads, and on a GPU one follows the other.
    """
    import torch

    waiting = iter(batches)
    first = list(islice(waiting, 2))
    threads = torch.get_num_threads()
    if len(first) < 2 or threads == 1 or torch.cuda.is_available():
        return [work(batch) for batch in chain(first, waiting)]
    return list(_pool(threads).map(work, chain(first, waiting)))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """A pool whose threads compute alone; the others keep their number of threads."""
    import torch

    ready = threading.Barrier(threads + 1)

    def start() -> None:
        # A thread's first question makes it take the common number, so it must come first.
        torch.get_num_threads()
        torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(threads, "lsr-batch", start)
    for _ in range(threads):
        pool.submit(lambda: None)
    ready.wait()
    # torch gives the last number that was set to every thread that starts later.
    torch.set_num_threads(threads)
    return pool
