"""All encoders on one kind of texts, in turns."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from child import Child
from engine_bench.vectors import map_batch

from encode_bench.difference import Difference
from encode_bench.encoders import ENCODERS
from encode_bench.parts import Parts, Peaks
from encode_bench.subjects import Place, Subject
from encode_bench.texts import Texts
from lsr.encoders.encoder import short_name
from lsr.sparse import SparseBatch

SEED = 0


@dataclass
class Runner:
    """An encoder of the table with the settings it is measured with, and what was measured."""

    name: str
    child: Child
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    loaded_mb: float = 0.0
    peak_mb: float = 0.0
    vectors: SparseBatch | None = None


@dataclass(frozen=True)
class Comparison:
    """What was measured with one kind of texts."""

    texts: Texts
    runners: Sequence[Runner]
    turns: Sequence[tuple[Parts, Peaks]]


def compare(
    names: Sequence[str],
    texts: Texts,
    settings: Mapping[str, Mapping[str, Any]],
    place: Place,
    anatomy: Child,
    rounds: int,
    folder: Path,
) -> Comparison:
    """An untimed round, then rounds in which all take their turns, each time in a new order.

    ``settings`` of an encoder that are not its library's own, by its name; ``anatomy`` takes its
    turn among them. The processes of the encoders are fresh, so that memory is of these texts.
    """
    folder.mkdir()
    runners: list[Runner] = []
    try:
        for name in names:
            child = place.child(name, folder / f"{name}.txt", Subject, name)
            runners.append(Runner(name, child))
        _load(runners, anatomy, texts, settings)
        random, turns = np.random.default_rng(SEED), []
        for turn in range(rounds + 1):
            say(f"{texts.kind}: round {turn} of {rounds}")
            for which in random.permutation(len(runners) + 1):
                if which == len(runners):
                    turns.append(anatomy.ask("turn"))
                else:
                    runner = runners[which]
                    runner.seconds.append(runner.child.ask("turn", runner.settings))
        for runner in runners:
            _finish(runner, folder / runner.name)
            del runner.seconds[0]
    finally:
        for runner in runners:
            runner.child.close()
    return Comparison(texts, runners, turns[1:])


def tune(name: str, texts: Texts, place: Place, folder: Path) -> dict[str, Any]:
    """The settings of an encoder's grid that are best for such texts, found in a process apart."""
    say(f"{texts.kind}: tuning {name}")
    child = place.child(name, folder / f"tuning-{texts.kind}-{name}.txt", Subject, name)
    try:
        child.ask("hold", texts.texts, texts.are_queries)
        best: dict[str, Any] = child.ask("tune", texts.tokens)
    finally:
        child.close()
    return best


def rows(comparison: Comparison, place: Place) -> list[dict[str, Any]]:
    """Rows of the table.

    ``speedup`` and ``memory_ratio`` are to the fastest peer, the differences to the first.
    """
    peers = [runner for runner in comparison.runners if ENCODERS[runner.name].peer]
    fastest = min(peers, key=lambda runner: np.median(runner.seconds), default=None)
    return [
        {"encoder": short_name(place.checkpoint.name), "engine": runner.name}
        | _measured(runner, comparison.texts)
        | _beside(runner, fastest)
        | _apart(runner, peers[0] if peers else None)
        | {"ndcg_at_10": None, "threads": place.threads, "max_length": place.max_length}
        for runner in comparison.runners
    ]


def say(line: str) -> None:
    """Tell on the error stream what is going on."""
    print(line, file=sys.stderr, flush=True)


def _load(
    runners: Sequence[Runner],
    anatomy: Child,
    texts: Texts,
    settings: Mapping[str, Mapping[str, Any]],
) -> None:
    """All at the same time: nothing is measured but memory."""
    anatomy.begin("hold", texts.texts)
    for runner in runners:
        runner.child.begin("hold", texts.texts, texts.are_queries)
    anatomy.answer()
    for runner in runners:
        runner.loaded_mb = runner.child.answer()
        runner.settings = settings.get(runner.name) or runner.child.ask("defaults")


def _finish(runner: Runner, folder: Path) -> None:
    folder.mkdir()
    runner.peak_mb, terms = runner.child.ask("finish", folder)
    runner.vectors = map_batch(folder, terms)


def _measured(runner: Runner, texts: Texts) -> dict[str, Any]:
    count = len(texts.texts)
    seconds = np.array(runner.seconds)
    low, high = np.percentile(count / seconds, [25, 75])
    described = " ".join(f"{key}={value}" for key, value in runner.settings.items())
    return {
        "settings": described or "-",
        "texts": texts.kind,
        "count": count,
        "tokens": texts.tokens,
        "docs_per_s": round(float(count / np.median(seconds)), 2),
        "spread": round(float(high - low), 2),
        "tokens_per_s": round(float(texts.tokens / np.median(seconds))),
        "peak_rss_mb": round(runner.peak_mb),
        "loaded_rss_mb": round(runner.loaded_mb),
        "growth_mb": round(runner.peak_mb - runner.loaded_mb),
    }


def _beside(runner: Runner, peer: Runner | None) -> dict[str, float | None]:
    if peer is None:
        return {"speedup": None, "memory_ratio": None}
    return {
        "speedup": round(float(np.median(peer.seconds) / np.median(runner.seconds)), 2),
        "memory_ratio": round(runner.peak_mb / peer.peak_mb, 3),
    }


def _apart(runner: Runner, peer: Runner | None) -> dict[str, Any]:
    if runner is peer or runner.vectors is None or peer is None or peer.vectors is None:
        keys = ("max_abs_diff", "only_here", "only_there", "largest_alone")
        return dict.fromkeys(keys)
    difference = Difference.between(runner.vectors, peer.vectors)
    return {
        "max_abs_diff": float(f"{difference.largest:.2e}"),
        "only_here": difference.only_here,
        "only_there": difference.only_there,
        "largest_alone": float(f"{difference.largest_alone:.2e}"),
    }
