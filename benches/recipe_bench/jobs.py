"""Trainings and scorings, several at a time, each in one of as many processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from machine import describe_machine, describe_versions

from lsr.errors import CollapseError
from lsr.threads import available_cores, limit_threads
from lsr.train.config import TrainingConfig
from lsr.train.config_file import parse_config
from lsr.train.trainer import STUDENT
from recipe_bench.results import Measured, Results, key_of
from recipe_bench.scores import Scorer, load_collections
from recipe_bench.trainings import Workshop, last_steps, needs, say, seconds

PACKAGES = ["lsr", "numpy", "tokenizers", "torch", "transformers", "scipy", "ir-measures"]
# How often the processes are begun, where one dies.
ATTEMPTS = 3
# Stands for the folder of the trained encoder in an encoder's name.
TRAINED = "{student}"


@dataclass(frozen=True)
class Job:
    """A training and the encoders that are scored after it, or encoders alone.

    ``encoders`` are rows of a table, each with the name of an encoder. ``tables`` are those of a
    training's TOML, or None. Without ``steps`` the encoder is the one that training begins with.
    """

    encoders: Mapping[str, str]
    seed: int = 0
    tables: Mapping[str, Any] | None = None
    steps: bool = True

    @property
    def name(self) -> str:
        """For people."""
        row = next(iter(self.encoders))
        return f"{row}, seed {self.seed}" if self.seed else row

    def keys(self, places: Places) -> dict[str, str]:
        """Row to the key of its results."""
        return {
            row: key_of(
                {
                    "encoder": encoder,
                    "tables": self.tables,
                    "steps": self.steps,
                    "queries": places.queries,
                },
                places.assets,
            )
            for row, encoder in self.encoders.items()
        }


@dataclass(frozen=True)
class Places:
    """Where things are, and on what is scored.

    ``assets`` has the folder ``data`` of the collections; trainings are kept in ``work``, and what
    they share in ``cache``. ``queries`` of each collection at most, where it is not 0.
    """

    assets: Path
    work: Path
    cache: Path
    collections: tuple[str, ...]
    queries: int = 0


def run_jobs(
    jobs: Sequence[Job], places: Places, results: Results, workers: int = 1, minutes: float = 0
) -> None:
    """Do what has no results yet, in this order, ``workers`` at a time.

    What several need, such as teachers' vectors, is computed before. After so many ``minutes``,
    where it is not 0, no job is begun. One that fails is told, and the others go on.
    """
    started = time.monotonic()
    if workers > 1:
        limit_threads(max(1, available_cores() // workers))

    def over() -> bool:
        return bool(minutes) and time.monotonic() - started > 60 * minutes

    for _ in range(ATTEMPTS):
        waiting = [job for job in jobs if not _done(job, places, results)]
        say(f"{len(jobs) - len(waiting)} of {len(jobs)} jobs are done")
        if not waiting:
            return
        shared = [(_prepare, one) for one in preparations(waiting)]
        work = [(perform, job) for job in waiting]
        try:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                _each(pool, workers, places, shared, lambda nothing: None, lambda: False)
                say(f"prepared after {time.monotonic() - started:.0f} s")
                _each(pool, workers, places, work, results.add, over)
            break
        except BrokenProcessPool as error:
            say(f"a process died ({error}); beginning again with what is left")
    say(f"ended after {time.monotonic() - started:.0f} s")


def _each(
    pool: ProcessPoolExecutor,
    workers: int,
    places: Places,
    work: Sequence[tuple[Callable[[Places, Any], Any], Any]],
    take: Callable[[Any], None],
    over: Callable[[], bool],
) -> None:
    """Call each function with its argument, as many at a time as there are workers."""
    waiting, running = iter(work), dict[Future[Any], Any]()
    while True:
        while len(running) < workers and not over():
            if (one := next(waiting, None)) is None:
                break
            running[pool.submit(one[0], places, one[1])] = one[1]
        if not running:
            return
        ended, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            what = running.pop(future)
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                raise error
            if error is None:
                take(future.result())
            else:
                say(f"{getattr(what, 'name', what)}: failed ({type(error).__name__}: {error})")


def _done(job: Job, places: Places, results: Results) -> bool:
    keys = job.keys(places).values()
    found = [results.of(key) for key in keys]
    return all({"", *each} >= {*places.collections} or "" in each for each in found)


@dataclass(frozen=True)
class Preparation:
    """One of ``needs`` of a training."""

    config: TrainingConfig = field(repr=False)
    what: str


def preparations(jobs: Iterable[Job]) -> list[Preparation]:
    """What the trainings need, each once."""
    found: dict[Any, Preparation] = {}
    for job in jobs:
        if job.tables is not None and job.steps:
            config = parse_config(job.tables, TrainingConfig)
            for what in needs(config):
                key = config.sources, config.evaluation.held_out, what
                found.setdefault(key, Preparation(config, what))
    return list(found.values())


def _prepare(places: Places, one: Preparation) -> None:
    _workshop(places).prepare(one.config, one.what)


def perform(places: Places, job: Job) -> list[Measured]:
    """Train, score, and tell what was measured; a training that collapsed is told as such."""
    facts: dict[str, Any] = {}
    student, keys = "", job.keys(places)
    made = {"machine": _machine(), "versions": describe_versions(PACKAGES)}
    if job.tables is not None:
        config = parse_config(job.tables, TrainingConfig)
        if job.steps:
            try:
                output = _workshop(places).train(job.name, config)
            except CollapseError as error:
                say(f"{job.name}: {error}")
                return [
                    Measured(key, row, job.seed, "", None, str(error), {}, **made)
                    for row, key in keys.items()
                ]
            facts = {"seconds": round(seconds(output), 1), **last_steps(output)}
            student = str(output / STUDENT)
        else:
            student = str(_workshop(places).untrained(config))
    found = []
    for row, name in job.encoders.items():
        started = time.perf_counter()
        scores = _scorer(places)(name.replace(TRAINED, student))
        say(f"{row}, seed {job.seed}: scored in {time.perf_counter() - started:.1f} s")
        found += [
            Measured(keys[row], row, job.seed, collection, score, "", facts, **made)
            for collection, score in scores.items()
        ]
    return found


@lru_cache(maxsize=1)
def _workshop(places: Places) -> Workshop:
    return Workshop(places.work, places.cache)


@lru_cache(maxsize=1)
def _scorer(places: Places) -> Scorer:
    collections = load_collections(places.assets / "data", places.collections, places.queries)
    return Scorer(collections, places.cache)


def _machine() -> dict[str, str | int]:
    """The machine, with its GPU as torch names it."""
    import torch

    machine = describe_machine()
    if torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name(0)
    return machine
