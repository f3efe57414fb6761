"""Builds every engine's indexes, tries its settings, and measures the best ones in turns."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers.engine import EXACT, Setting, describe, load_engine

from engine_bench.truth import Truth
from engine_bench.vectors import map_batch, save_batch
from engine_bench.worker import Built, Kind, Round, Worker
from lsr.sparse import SparseBatch

# For each of these, the fastest setting that reaches it is measured in full.
RECALLS = (0.9, 0.95, 0.97, 0.99)
GOAL = 0.97
# Recalls that differ by less are a matter of chance.
ALIKE = 0.002
# A setting whose first queries take so many times longer than one of the same engine that finds
# the last of ``RECALLS`` is given up.
FIRST_QUERIES, SLOWER = 20, 4
ALL = "all"


@dataclass(frozen=True)
class Plan:
    """How much is measured. ``probe``: queries that each setting is tried with."""

    k: int = 10
    rounds: int = 5
    probe: int = 200
    order: str = "given"
    # What part of the documents is searched: the mask of each, by its name.
    masks: Mapping[str, NDArray[np.uint8] | None] = field(default_factory=lambda: {ALL: None})


@dataclass
class Point:
    """One setting of one index with one kind of queries, and what was measured of it."""

    worker: Worker
    built: Built
    kind: Kind
    setting: Setting
    microseconds: float
    recall: float
    rounds: list[Round] = field(default_factory=list)


def compare(
    engines: Sequence[str],
    documents: SparseBatch,
    queries: Mapping[str, SparseBatch],
    folder: Path,
    plan: Plan,
) -> list[dict[str, Any]]:
    """Rows of the table, for one collection; it is read from files in the folder."""
    save_batch(folder, documents)
    documents = map_batch(folder, documents.vocabulary_size)
    folders = {}
    for name, batch in queries.items():
        folders[name] = folder / f"queries-{name}"
        folders[name].mkdir()
        save_batch(folders[name], batch)
    truths = {
        (name, passing): Truth(documents, batch, plan.k, mask)
        for passing, mask in plan.masks.items()
        for name, batch in queries.items()
    }
    points: list[Point] = []
    workers: list[Worker] = []
    try:
        for engine in engines:
            chosen: list[Point] = []
            for build in load_engine(engine).builds:
                if reason := load_engine(engine).unfit(build, len(documents)):
                    _say(f"{engine} {describe(build)} is left out: {reason}")
                    continue
                worker = Worker(engine, build, folder / f"index-{len(workers)}", plan.k)
                workers.append(worker)
                candidates = chosen + _probe(worker, documents, folders, truths, plan, chosen)
                chosen = [point for kind in truths for point in select(candidates, kind)]
                # What is beaten stays beaten, so its memory can go.
                for worker in {p.worker for p in candidates} - {p.worker for p in chosen}:
                    worker.close()
            points += chosen
        _measure(points, queries, plan)
    finally:
        for worker in workers:
            worker.close()
    rows = [_row(point, truths[point.kind], documents, plan) for point in points]
    mark_best(rows)
    return rows


def select(candidates: Sequence[Point], kind: Kind) -> list[Point]:
    """The exact points, the fastest for each of ``RECALLS``, the fastest of the most accurate."""
    of_kind = [point for point in candidates if point.kind == kind]
    chosen = [point for point in of_kind if point.setting.mode == EXACT]
    others = sorted(
        (point for point in of_kind if point.setting.mode != EXACT), key=lambda p: p.microseconds
    )
    for recall in RECALLS:
        chosen += [point for point in others if point.recall >= recall][:1]
    if others:
        most = max(point.recall for point in others) - ALIKE
        chosen += [point for point in others if point.recall >= most][:1]
    return list({id(point): point for point in chosen}.values())


def mark_best(rows: list[dict[str, Any]]) -> None:
    """Set ``best`` where a row is its engine's fastest with enough recall, and ``pareto``."""
    for row in rows:
        same = [
            other
            for other in rows
            if all(other[key] == row[key] for key in ("engine", "queries", "documents", "passing"))
        ]
        enough = [other for other in same if other["recall_at_10"] >= GOAL]
        row["best"] = bool(enough) and row is min(enough, key=lambda r: r["us_per_query"])
        row["pareto"] = not any(
            other["us_per_query"] < row["us_per_query"]
            and other["recall_at_10"] >= row["recall_at_10"]
            for other in same
        )


def _probe(
    worker: Worker,
    documents: SparseBatch,
    folders: Mapping[str, Path],
    truths: Mapping[Kind, Truth],
    plan: Plan,
    known: Sequence[Point],
) -> list[Point]:
    _say(f"building {worker.engine} {describe(worker.build)} over {len(documents):,} documents")
    built = worker.built(documents.vocabulary_size)
    worker.load(folders, plan.masks, documents.vocabulary_size)
    count = min(load_engine(worker.engine).queries_a_round or plan.probe, plan.probe)
    points: list[Point] = []
    settings = worker.settings()
    for kind, truth in truths.items():
        for _ in range(1 + load_engine(worker.engine).warm_up // (len(truths) * count)):
            worker.round(kind, settings[0], count, batch=False)
        for setting in settings:
            if _hopeless(worker, kind, setting, count, [*known, *points]):
                continue
            tried = worker.round(kind, setting, count, batch=False)
            mean, recall = float(tried.nanoseconds.mean()) / 1000, truth.recall(tried.rankings)
            points.append(Point(worker, built, kind, setting, mean, recall))
    return points


def _hopeless(
    worker: Worker, kind: Kind, setting: Setting, count: int, known: Sequence[Point]
) -> bool:
    """Whether the setting is much slower than one that finds enough."""
    enough = [p.microseconds for p in known if p.kind == kind and p.recall >= RECALLS[-1]]
    if setting.mode == EXACT or not enough or count <= FIRST_QUERIES:
        return False
    tried = worker.round(kind, setting, FIRST_QUERIES, batch=False)
    return float(tried.nanoseconds.mean()) / 1000 > SLOWER * min(enough)


def _measure(points: Sequence[Point], queries: Mapping[str, SparseBatch], plan: Plan) -> None:
    """A warm-up round, then rounds in which all points take their turns, each time in new order."""
    order = list(range(len(points)))
    random = np.random.default_rng(0)
    for turn in range(plan.rounds + 1):
        _say(f"round {turn} of {plan.rounds}: {len(points)} points")
        random.shuffle(order)
        for place in order:
            point = points[place]
            limit = load_engine(point.worker.engine).queries_a_round
            count = min(limit or sys.maxsize, len(queries[point.kind[0]]))
            measured = point.worker.round(point.kind, point.setting, count, batch=True)
            if turn:
                point.rounds.append(measured)


def _row(point: Point, truth: Truth, documents: SparseBatch, plan: Plan) -> dict[str, Any]:
    times = np.array([each.nanoseconds for each in point.rounds]) / 1000
    means = times.mean(axis=1)
    batches = [each.batch_nanoseconds for each in point.rounds]
    batch = None
    if batches[0] is not None:
        batch = float(np.median([b for b in batches if b is not None])) / times.shape[1] / 1000
    call = float(np.median(means))
    # A peer gets the faster of its two interfaces; ours is always timed call by call.
    together = batch is not None and batch < call and point.worker.engine != "lsr"
    per_query = np.median(times, axis=0)
    low, high = np.percentile(means, [25, 75])
    return {
        "engine": point.worker.engine,
        "version": point.built.version,
        "build": describe(point.worker.build),
        "settings": str(point.setting),
        "queries": point.kind[0],
        "passing": point.kind[1],
        "documents": len(documents),
        "order": plan.order,
        "mode": point.setting.mode,
        "us_per_query": round(batch if together and batch is not None else call, 1),
        "timing": "batch" if together else "calls",
        "us_call": round(call, 1),
        "us_batch": None if batch is None else round(batch, 1),
        "p50_us": round(float(np.percentile(per_query, 50)), 1),
        "p95_us": round(float(np.percentile(per_query, 95)), 1),
        "p99_us": round(float(np.percentile(per_query, 99)), 1),
        "spread": round(float(high - low), 1),
        "recall_at_10": round(truth.recall(point.rounds[-1].rankings), 4),
        "bytes_per_posting": round(point.built.bytes / max(1, documents.nnz), 2),
        "build_s": round(point.built.seconds, 2),
        "peak_memory_mb": round(point.built.peak_memory_mb),
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
