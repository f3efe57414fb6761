"""What runs in the processes of the bench: an encoder that holds texts and takes its turns."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from child import Child
from engine_bench.vectors import save_batch
from machine import peak_memory_mb, resident_memory_mb

from encode_bench.encoders import ENCODERS
from lsr.backbones.checkpoint import Checkpoint

# Of settings that differ by less, the one of less memory is kept.
ALIKE = 0.03
TRIES = 2
TUNING_TOKENS = 16_000


@dataclass(frozen=True)
class Place:
    """The model that all load, and how much of the machine each may use."""

    checkpoint: Checkpoint
    max_length: int
    threads: int

    def child(self, name: str, log: Path, make: Callable[..., object], *arguments: Any) -> Child:
        """An object made with this place and the arguments, in a process that keeps to it."""
        threads = (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "RAYON_NUM_THREADS",
        )
        environment = dict.fromkeys(threads, str(self.threads))
        # Nothing is fetched, and all encode on the CPU.
        environment |= {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        # A checkpoint keeps what was read of it; the child gets it without.
        bare = Checkpoint(self.checkpoint.name, self.checkpoint.folder)
        place = replace(self, checkpoint=bare)
        return Child(name, log, environment, make, place, *arguments)

    def settle(self) -> None:
        """Keep this process, and every thread that it will start, to as many cores as threads."""
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: self.threads])
        import torch

        torch.set_num_threads(self.threads)


class Subject:
    """An encoder of the table."""

    def __init__(self, place: Place, name: str) -> None:
        place.settle()
        kind = ENCODERS[name].load()
        self._encoder = kind(place.checkpoint, place.max_length, **ENCODERS[name].options)
        self._defaults, self._grid = kind.defaults, kind.grid
        self._texts: Sequence[str] = []
        self._are_queries = False
        self._found: Any = None

    def hold(self, texts: Sequence[str], are_queries: bool) -> float:
        """Take the texts to encode; MB of memory once the model is loaded, before any of them."""
        self._texts, self._are_queries = texts, are_queries
        # Some load at the first call.
        self._encoder.encode(["warm"], are_queries, **self._defaults)
        return resident_memory_mb()

    def defaults(self) -> dict[str, Any]:
        """The library's own settings."""
        return dict(self._defaults)

    def turn(self, settings: Mapping[str, Any]) -> float:
        """Seconds to encode all texts."""
        self._found = None
        gc.collect()
        start = time.perf_counter()
        self._found = self._encoder.encode(self._texts, self._are_queries, **settings)
        return time.perf_counter() - start

    def finish(self, folder: Path) -> tuple[float, int]:
        """Write the vectors of the last turn; MB of memory at the peak before, and terms."""
        peak = peak_memory_mb()
        batch = self._encoder.batch(self._found)
        save_batch(folder, batch)
        return peak, batch.vocabulary_size

    def tune(self, tokens: int) -> dict[str, Any]:
        """The best settings of the grid, one after the other; ``tokens`` are those of the texts."""
        self._texts = self._texts[: max(1, TUNING_TOKENS * len(self._texts) // max(1, tokens))]
        return search(self._defaults, self._grid, self.turn)


def search(
    defaults: Mapping[str, Any],
    grid: Mapping[str, Sequence[Any]],
    seconds: Callable[[Mapping[str, Any]], float],
) -> dict[str, Any]:
    """Of each setting in turn, the first value that is among the fastest, the others kept."""
    best = dict(defaults)
    for name, values in grid.items():
        tried = {
            value: min(seconds(best | {name: value}) for _ in range(TRIES)) for value in values
        }
        enough = min(tried.values()) * (1 + ALIKE)
        best[name] = next(value for value, time in tried.items() if time <= enough)
    return best
