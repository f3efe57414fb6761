"""Batches on all cores: a thread each, instead of every operation split over the cores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain, islice
from types import ModuleType
from typing import TypeVar

from lsr.backbones.torch_runtime import imported_torch
from lsr.threads import computing_threads, cores_are_shared, is_beside_searches

Batch = TypeVar("Batch")
Result = TypeVar("Result")


def map_batches(work: Callable[[Batch], Result], batches: Iterable[Batch]) -> list[Result]:
    """``work`` of each batch, in their order.

    On a CPU as many batches at a time as there are threads to compute with, each computed by one
    thread. Small operations then need no hand-over between threads, and results do not depend on
    the number of cores. A batch that is alone keeps all threads of torch, unless this thread shares
    the cores. On a GPU one follows the other, and so they do where this thread computes beside
    searches, each on one core.
    """
    waiting = iter(batches)
    first = list(islice(waiting, 2))
    torch = imported_torch()
    threads = computing_threads() if torch is None else torch.get_num_threads()
    on_gpu = torch is not None and torch.cuda.is_available()
    shared = cores_are_shared() or is_beside_searches()
    in_parts = len(first) > 1 or (len(first) == 1 and torch is not None and shared)
    if not in_parts or threads == 1 or on_gpu:
        return [work(batch) for batch in chain(first, waiting)]
    if is_beside_searches():
        pool = _pool(threads, torch)
        return [pool.submit(work, batch).result() for batch in chain(first, waiting)]
    return list(_pool(threads, torch).map(work, chain(first, waiting)))


@cache
def _pool(threads: int, torch: ModuleType | None) -> ThreadPoolExecutor:
    """A pool whose threads compute alone; the others keep their number of threads."""
    ready = threading.Barrier(threads + 1)

    def start() -> None:
        if torch is not None:
            # A thread's first question makes it take the common number, so it must come first.
            torch.get_num_threads()
            torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(threads, "lsr-batch", start)
    for _ in range(threads):
        pool.submit(lambda: None)
    ready.wait()
    if torch is not None:
        # torch gives the last number that was set to every thread that starts later.
        torch.set_num_threads(threads)
    return pool
