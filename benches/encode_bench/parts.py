"""Where our encoder's time goes, and how fast the machine multiplies matrices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from encode_bench.subjects import Place

# Of square matrices; the tile of the projection is multiplied as well.
SIDES = (512, 1024)
REPEATS = 3
TILE = (1024, 512)
COLUMNS = {
    "texts": "texts",
    "part": "part",
    "ms_per_doc": "ms/doc",
    "share": "share",
    "gflops": "GFLOP/s",
    "of_float32_peak": "of float32 peak",
    "of_int8_peak": "of int8 peak",
}


@dataclass(frozen=True)
class Parts:
    """Seconds of one pass over the texts, and the floating-point operations of its projection.

    ``operations``: 2 * tokens * terms * width, what a full projection in float32 takes. A kernel
    that skips some of it, or does it in int8, is credited with all of it.
    """

    tokenise: float
    body: float
    projection: float
    operations: float


@dataclass(frozen=True)
class Peaks:
    """Operations a second of the machine's matrix multiplication; int8 None where there is none."""

    float32: float
    int8: float | None


class Anatomy:
    """Our encoder taken apart: each part runs alone, one after the other.

    All on one thread, the machine's peaks too: the encoder gives each batch one thread.
    """

    def __init__(self, place: Place) -> None:
        place.settle()
        import torch

        torch.set_num_threads(1)
        from lsr.backbones.backbone import MaskedLanguageModel
        from lsr.backbones.batching import Batcher
        from lsr.encoders.masked_lm import TOKEN_BUDGET

        self._backbone = MaskedLanguageModel(place.checkpoint)
        self._batcher = Batcher(
            place.checkpoint.vocabulary,
            self._backbone.longest(place.max_length),
            TOKEN_BUDGET[self._backbone.device.type],
        )
        self._texts: Sequence[str] = []

    def hold(self, texts: Sequence[str]) -> None:
        """Take the texts to encode."""
        self._texts = texts

    def turn(self) -> tuple[Parts, Peaks]:
        """Time the parts, and the machine's peaks beside them."""
        return self._parts(), self._peaks()

    def _parts(self) -> Parts:
        import torch

        from index.indexing import CHUNK

        projection, before = self._backbone.projection, self._batcher.tokens
        clock = _Clock()
        for start in range(0, len(self._texts), CHUNK):
            batches = self._batcher(self._texts[start : start + CHUNK])
            # The first batch comes when all texts of the chunk are tokenised.
            while (batch := clock.time("tokenise", lambda b=batches: next(b, None))) is not None:
                with torch.inference_mode():
                    states = clock.time("body", lambda b=batch: self._backbone.states(b))
                    clock.time("projection", lambda s=states: projection.largest(*s))
        tokens = self._batcher.tokens - before
        terms, width = projection.terms, projection.weight.shape[1]
        return Parts(**clock.seconds, operations=2.0 * tokens * terms * width)

    def _peaks(self) -> Peaks:
        import torch

        width = self._backbone.projection.weight.shape[1]
        shapes = [(side, side, side) for side in SIDES] + [(TILE[0], width, TILE[1])]
        with torch.inference_mode():
            float32 = max(operations_per_second(*shape, np.float32) for shape in shapes)
            try:
                int8 = max(operations_per_second(*shape, np.int8) for shape in shapes)
            except (AttributeError, RuntimeError):
                int8 = None
        return Peaks(float32, int8)


class _Clock:
    """Adds up seconds by name."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(("tokenise", "body", "projection"), 0.0)

    def time(self, name: str, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        found = call()
        self.seconds[name] += time.perf_counter() - start
        return found


def operations_per_second(rows: int, width: int, columns: int, kind: type[np.generic]) -> float:
    """Of ``rows`` x ``width`` times ``width`` x ``columns``, into memory that is there."""
    import torch

    random = np.random.default_rng(0)
    left, right = (
        torch.from_numpy(random.integers(-100, 100, (side, width), np.int8).astype(kind))
        for side in (rows, columns)
    )
    multiply = torch._int_mm if kind is np.int8 else torch.mm
    out = torch.empty(rows, columns, dtype=torch.int32 if kind is np.int8 else torch.float32)
    best = np.inf
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        multiply(left, right.T, out=out)
        best = min(best, time.perf_counter() - start)
    return 2.0 * rows * width * columns / best


def rows(kind: str, count: int, turns: Sequence[tuple[Parts, Peaks]]) -> Iterator[dict[str, Any]]:
    """A row for each part: medians over the turns, against the highest peaks."""
    peak = highest([peaks for _, peaks in turns])
    medians = {
        name: float(np.median([getattr(parts, name) for parts, _ in turns]))
        for name in ("tokenise", "body", "projection")
    }
    for name, seconds in medians.items():
        row: dict[str, Any] = {
            "texts": kind,
            "part": name,
            "ms_per_doc": round(1000 * seconds / count, 3),
            "share": round(seconds / sum(medians.values()), 3),
        }
        speed = turns[0][0].operations / seconds if name == "projection" else None
        yield row | _against(speed, peak)


def highest(peaks: Sequence[Peaks]) -> Peaks:
    """The best of each."""
    int8 = [each.int8 for each in peaks if each.int8 is not None]
    return Peaks(max(each.float32 for each in peaks), max(int8, default=None))


def in_units(peak: Peaks) -> dict[str, float | None]:
    """The peaks as the report gives them."""
    int8 = None if peak.int8 is None else round(peak.int8 / 1e9, 1)
    return {"float32_gflops": round(peak.float32 / 1e9, 1), "int8_gops": int8}


def _against(speed: float | None, peak: Peaks) -> Mapping[str, float | None]:
    if speed is None:
        return dict.fromkeys(("gflops", "of_float32_peak", "of_int8_peak"))
    return {
        "gflops": round(speed / 1e9, 1),
        "of_float32_peak": round(speed / peak.float32, 3),
        "of_int8_peak": None if peak.int8 is None else round(speed / peak.int8, 3),
    }
