"""How many threads compute, and how those of torch and FAISS wait for each other."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_here = threading.local()


def wait_passively() -> None:
    """Let idle OpenMP threads sleep; for processes that answer queries.

    Call before torch or faiss is first imported. Each brings an OpenMP runtime of its own, whose
    idle threads spin and so take the cores from one another and from other processes: on two
    cores, with two busy processes beside it, a hybrid query took 1,607 ms with spinning and 23 ms
    without. Encoding a corpus is a fifth faster with it, so indexing leaves it on.
    ``OMP_WAIT_POLICY`` in the environment has precedence.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def limit_threads(threads: int) -> None:
    """Give this process so many threads to compute with, which sleep when idle.

    Call before torch, tokenizers or faiss is first imported. It has precedence over what the
    environment says: that is meant for a process that has the machine to itself.
    """
    wait_passively()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(threads)


def computing_threads() -> int:
    """Threads that this process computes with: what ``OMP_NUM_THREADS`` says, else its cores."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else available_cores()


def available_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def sharing_cores() -> Iterator[None]:
    """What this thread computes inside takes one core: other threads have work for the others."""
    before, _here.shared = cores_are_shared(), True
    try:
        yield
    finally:
        _here.shared = before


def cores_are_shared() -> bool:
    """Whether this thread is inside ``sharing_cores``."""
    return bool(getattr(_here, "shared", False))


@contextmanager
def beside_searches() -> Iterator[None]:
    """The documents that this thread encodes inside leave cores to searches of this process.

    It takes one core, and all threads that are inside take half of them together: others wait.
    """
    before, _here.beside = is_beside_searches(), True
    try:
        yield
    finally:
        _here.beside = before


def is_beside_searches() -> bool:
    """Whether this thread is inside ``beside_searches``."""
    return bool(getattr(_here, "beside", False))


@contextmanager
def encoding_documents() -> Iterator[None]:
    """Around the encoding of documents: waits for its turn inside ``beside_searches``."""
    if not is_beside_searches():
        yield
        return
    with _encoding_beside_searches:
        yield


_encoding_beside_searches = threading.Semaphore(max(1, available_cores() // 2))
