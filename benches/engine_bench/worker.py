"""One process for each index, so that build time and memory are its own.

All indexes stay open in their processes while the bench asks one after the other to search: only
one works at a time, and rounds can alternate between engines.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from child import Child
from machine import peak_with_children_mb
from numpy.typing import NDArray
from peers.engine import Setting, load_engine

from engine_bench.vectors import map_batch
from index.engines.document_mask import DocumentMask

# Which queries, and what part of the documents they are for.
Kind = tuple[str, str]
# Workers inherit these before they import NumPy.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Built:
    """What building took.

    ``peak_memory_mb`` includes Python, the vectors that were read, and processes that it started.

    ``version``: as ``Engine.version`` says.
    """

    seconds: float
    bytes: int
    peak_memory_mb: float
    version: str | None


@dataclass(frozen=True)
class Round:
    """One pass over the queries: nanoseconds and documents of each.

    ``batch_nanoseconds``: processor time, which an engine's second thread can't shorten, of one
    call for all of them; None where it wasn't asked for or the engine has no such call.
    """

    nanoseconds: NDArray[np.int64]
    rankings: list[list[int]]
    batch_nanoseconds: int | None


class Worker:
    """An index of one engine, in a process of its own."""

    def __init__(self, engine: str, build: Mapping[str, Any], folder: Path, k: int) -> None:
        self.engine = engine
        self.build = build
        folder.mkdir()
        log = folder / "log.txt"
        self._child = Child(engine, log, ONE_THREAD, _Index, engine, dict(build), folder, k)

    def built(self, size: int) -> Built:
        """Build and open the index over the vectors beside its folder."""
        built: Built = self._child.ask("build", size)
        return built

    def settings(self) -> list[Setting]:
        """What can be tried with this index."""
        settings: list[Setting] = self._child.ask("settings")
        return settings

    def load(
        self, queries: Mapping[str, Path], masks: Mapping[str, NDArray[np.uint8] | None], size: int
    ) -> None:
        """Bring each kind of queries, over what each mask lets pass, into the engine's form."""
        self._child.ask("load", dict(queries), dict(masks), size)

    def round(self, kind: Kind, setting: Setting, count: int, batch: bool) -> Round:
        """Search for the first queries, one call each; with ``batch`` once more in one call."""
        found: Round = self._child.ask("round", kind, setting, count, batch)
        return found

    def close(self) -> None:
        """End the process."""
        self._child.close()


class _Index:
    """The worker's side: each public method answers one request."""

    def __init__(self, engine: str, build: dict[str, Any], folder: Path, k: int) -> None:
        self._engine, self._build, self._folder, self._k = load_engine(engine)(), build, folder, k
        self._queries: dict[Kind, list[Any]] = {}

    def build(self, size: int) -> Built:
        vectors = map_batch(self._folder.parent, size)
        start = time.perf_counter()
        number = self._engine.build(vectors, self._folder, **self._build)
        seconds = time.perf_counter() - start
        peak = peak_with_children_mb()
        self._engine.open()
        return Built(seconds, number, peak, self._engine.version())

    def settings(self) -> list[Setting]:
        return self._engine.settings(self._build)

    def load(
        self, folders: dict[str, Path], masks: dict[str, NDArray[np.uint8] | None], size: int
    ) -> None:
        for passing, allowed in masks.items():
            alive = None if allowed is None else DocumentMask(allowed)
            for name, folder in folders.items():
                self._queries[name, passing] = [
                    self._engine.prepare(query, alive) for query in map_batch(folder, size)
                ]

    def round(self, kind: Kind, setting: Setting, count: int, batch: bool) -> Round:
        queries = self._queries[kind][:count]
        found: list[Any] = [None] * len(queries)
        nanoseconds = np.zeros(len(queries), np.int64)
        search, clock = self._engine.search, time.perf_counter_ns
        k, values = self._k, dict(setting.values)
        gc.collect()
        gc.disable()
        for row, query in enumerate(queries):
            start = clock()
            found[row] = search(query, k, **values)
            nanoseconds[row] = clock() - start
        gc.enable()
        together = None
        call = self._engine.batch(queries, k, **values) if batch else None
        if call is not None:
            start = time.process_time_ns()
            call()
            together = time.process_time_ns() - start
        return Round(nanoseconds, [self._engine.documents(each) for each in found], together)
