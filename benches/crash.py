"""Kill -9 a writing process at random moments, and look for what was lost.

A child upserts, deletes, flushes, merges and snapshots, and tells each operation to its parent
before it begins and after it has returned. The parent kills it, either after a random time or as
it enters a random fsync, rename, link or unlink, and compares what is there with a plain
dictionary of the acknowledged writes: every one must be there, the write in flight wholly or not
at all, search must rank as an obvious loop does, and ``check`` must find nothing.

Then bits are turned over in store, log and commits file (benches/flips.py), the disk is cut off
after what was flushed (benches/crash_images.py, needs strace), and full at every step or read-only
(benches/full_disk.py, needs the right to mount). Segments are the matter of benches/hostile.py.

    python benches/crash.py [--quick] [--json FILE|-]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benches.engine_bench.report import print_table, publish
from benches.machine import describe_machine, describe_versions
from index.collection.check import check
from index.collection.collection import Collection
from index.collection.field import Field
from index.collection.maintenance import MaintenanceConfig
from index.collection.snapshot import restore, snapshot
from lsr.corpus.documents import Document
from lsr.sparse import SparseBatch, SparseVector
from tests.oracles import rank_by_inner_product

KILLS, QUICK_KILLS = 240, 40
FLIPS, QUICK_FLIPS = 300, 25
TERMS, DIMENSION, IDS = 12, 4, 60
SPARSE = Field("sparse", "sparse", "made by hand", "made-by-hand", TERMS)
DENSE = Field("dense", "dense", "made by hand", "made-by-hand", DIMENSION)
# So small that builds run all the time.
CONFIG = MaintenanceConfig(flush_documents=15, merge_factor=2, fewest_deleted=1, retry_seconds=0.02)
LONGEST_LIFE_S = 0.2
LAST_KILL_POINT = 60
KILL_POINTS = ("fsync", "replace", "rename", "link", "unlink")
# Children are forked from a process that has imported everything, so each starts at once.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["benches.crash"])
T = TypeVar("T")
# Version of each document, in the order of writing.
State = dict[str, int]
# ("upsert", ((id, version), ...)), ("delete", (id, ...)), ("flush",), ("snapshot", path)
Operation = tuple[Any, ...]


def vector_of(identifier: str, version: int) -> dict[int, float]:
    """The sparse vector of one version of a document: few distinct weights, so that many tie."""
    numbers = random.Random(f"{identifier}/{version}")
    terms = numbers.sample(range(TERMS), numbers.randint(1, TERMS // 2))
    return {term: numbers.choice([0.25, 0.5, 1.0, 1.5]) for term in terms}


def upsert(collection: Collection, versions: Iterable[tuple[str, int]]) -> None:
    """Write these versions of documents as one batch."""
    versions = list(versions)
    rows = [SparseVector.from_mapping(vector_of(*version)) for version in versions]
    dense = np.array([[version] * DIMENSION for _, version in versions], dtype=np.float32)
    collection.upsert(
        [
            Document(identifier, str(version), metadata={"version": version})
            for identifier, version in versions
        ],
        {"sparse": SparseBatch.from_rows(rows, TERMS), "dense": dense.reshape(-1, DIMENSION)},
    )


def applied(state: State, operation: Operation) -> State:
    """The state after an operation."""
    after = dict(state)
    if operation[0] == "upsert":
        for identifier, version in operation[1]:
            after.pop(identifier, None)
            after[identifier] = version
    elif operation[0] == "delete":
        for identifier in operation[1]:
            after.pop(identifier, None)
    return after


def choose(numbers: random.Random, state: State, version: int, folder: Path) -> Operation:
    """A random next operation."""
    kind = numbers.choices(["upsert", "delete", "flush", "snapshot"], [12, 5, 2, 1])[0]
    some = [f"d{n}" for n in numbers.sample(range(IDS), numbers.randint(1, 12))]
    if kind == "upsert":
        return kind, tuple((identifier, version) for identifier in some)
    if kind == "delete":
        return kind, tuple(some[:4])
    if kind == "snapshot":
        return kind, str(folder / f"snapshot-{version}")
    return (kind,)


def perform(collection: Collection, operation: Operation) -> None:
    """Carry an operation out."""
    if operation[0] == "upsert":
        upsert(collection, operation[1])
    elif operation[0] == "delete":
        collection.delete(operation[1])
    elif operation[0] == "flush":
        collection.maintenance.flush()
    else:
        snapshot(collection, Path(operation[1]))


def child(path: Path, state: State, seed: int, kill_point: int, pipe: Connection) -> None:
    """Write until killed; ``kill_point`` 0 leaves the killing to the parent."""
    numbers = random.Random(seed)
    collection = Collection.open(path, CONFIG)
    if kill_point:
        _die_at(kill_point)
    version = max(state.values(), default=0)
    while True:
        version += 1
        operation = choose(numbers, state, version, path.parent)
        pipe.send(("begin", operation))
        perform(collection, operation)
        pipe.send(("done", operation))
        state = applied(state, operation)


def _die_at(kill_point: int) -> None:
    """Have the process kill itself as it enters the n-th call that changes what is on disk."""
    left = [kill_point]

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    for name in KILL_POINTS:
        setattr(os, name, dying(getattr(os, name)))


@dataclass(slots=True)
class Kill:
    """What one kill found: the operation in flight, whether it wrote anything, what was wrong."""

    in_flight: str
    written: bool
    acknowledged: int
    state: State
    problems: list[str] = field(default_factory=list)


def kill_once(path: Path, state: State, seed: int) -> Kill:
    """Start a writer on a collection of a known state, kill it, and look."""
    numbers = random.Random(-seed)
    kill_point = numbers.choice([0, numbers.randint(1, LAST_KILL_POINT)])
    reading, writing = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=child, args=(path, state, seed, kill_point, writing))
    process.start()
    writing.close()
    life = numbers.uniform(0, LONGEST_LIFE_S)
    messages = list(_messages(reading, process, life if kill_point == 0 else 10 * LONGEST_LIFE_S))
    process.join()
    before, in_flight, acknowledged, snapshots = state, None, 0, []
    for kind, operation in messages:
        in_flight = operation if kind == "begin" else None
        if operation[0] == "snapshot":
            snapshots.append((Path(operation[1]), before, kind == "done"))
        if kind == "done":
            before = applied(before, operation)
            acknowledged += 1
    after = before if in_flight is None else applied(before, in_flight)
    found, problems = examine(path, [before, after])
    for place, expected, is_done in snapshots[-1:]:
        problems += examine_snapshot(place, expected, is_done)
    _clean(path.parent, keep=path)
    name = "none" if in_flight is None else in_flight[0]
    return Kill(name, found == after != before, acknowledged, found, problems)


def _messages(reading: Connection, process: Any, life: float) -> Iterable[tuple[str, Operation]]:
    """All that the child says until it is dead; its life begins with its first word."""
    deadline = None
    with suppress(EOFError, OSError):
        while deadline is None or reading.poll(max(0.0, deadline - time.monotonic())):
            yield reading.recv()
            deadline = deadline or time.monotonic() + life
        process.kill()
        while True:
            yield reading.recv()


def examine(path: Path, allowed: Sequence[State]) -> tuple[State, list[str]]:
    """What a collection holds, and what is wrong with it; its state must be one of ``allowed``."""
    collection = Collection.open(path)
    try:
        with collection.pinned() as view:
            sequence = collection.store.live().tolist()
            documents = collection.store.documents(sequence)
            found = {documents[number].id: int(documents[number].text) for number in sequence}
            problems = []
            if list(found.items()) not in [list(state.items()) for state in allowed]:
                problems.append(f"holds {found}, allowed are {allowed}")
            rows = [vector_of(*item) for item in found.items()]
            for query in ({1: 1.0}, {0: 0.5, 4: 2.0, 7: 1.0}, dict.fromkeys(range(TERMS), 1.0)):
                expected = [
                    (sequence[ordinal], score)
                    for ordinal, score in rank_by_inner_product(rows, query, 10)
                ]
                batch = SparseBatch.from_rows([SparseVector.from_mapping(query)], TERMS)
                for engine in ("native", "reference"):
                    ranking = view.search_sparse(SPARSE, batch, 10, engine).ranking(0)
                    if ranking != expected:
                        problems.append(f"{engine} ranks {ranking}, the oracle {expected}")
        return found, problems + check(collection).problems
    finally:
        collection.close()


def examine_snapshot(place: Path, expected: State, is_done: bool) -> list[str]:
    """What is wrong with a snapshot, which must be there if it was acknowledged."""
    if not place.exists():
        return [f"the snapshot {place.name} is gone"] if is_done else []
    restored = place.with_name("restored")
    restore(place, restored)
    return [f"in the snapshot: {problem}" for problem in examine(restored, [expected])[1]]


def _clean(folder: Path, keep: Path) -> None:
    for path in folder.iterdir():
        if path != keep:
            shutil.rmtree(path)


def kill_repeatedly(folder: Path, kills: int, seed: int) -> Iterable[Kill]:
    """Kill writers of one collection one after the other, which goes on from what is left."""
    Collection.create(folder / "collection", [SPARSE, DENSE]).close()
    state: State = {}
    for number in range(kills):
        kill = kill_once(folder / "collection", state, seed + number)
        state = kill.state
        yield kill


def _row(in_flight: str, kills: Sequence[Kill]) -> dict[str, Any]:
    return {
        "in_flight": in_flight,
        "kills": len(kills),
        "written": sum(kill.written for kill in kills),
        "acknowledged": sum(kill.acknowledged for kill in kills),
        "problems": sum(len(kill.problems) for kill in kills),
    }


def damage(folder: Path, quick: bool, seed: int) -> tuple[list[dict[str, Any]], list[str]]:
    """What bit flips, power cuts, full and read-only disks do: a row an outcome, all problems."""
    # Imported here: these use what is above.
    from benches.crash_images import images
    from benches.flips import flips
    from benches.full_disk import full_disk, read_only

    outcomes: Counter[tuple[str, str]] = Counter()
    problems: list[str] = []
    for name in ("store", "log", "commits"):
        for flip in flips(folder, name, QUICK_FLIPS if quick else FLIPS, seed):
            outcomes[f"a bit of the {name}", flip.outcome or "wrong"] += 1
            problems += flip.problems
    for found in _each_in(folder / "images", lambda at: images(at, 10 if quick else 100, seed)):
        outcomes["a power cut", "wrong" if found else "nothing lost"] += 1
        problems += found
    for step in _each_in(folder / "full", lambda at: full_disk(at, 4 if quick else 24)):
        outcomes[f"{step.operation} on a full disk", step.outcome] += 1
        problems += step.problems
    for step in _each_in(folder / "read", read_only):
        outcomes[f"{step.operation} on a read-only disk", step.outcome] += 1
        problems += step.problems
    rows = [
        {"what": what, "outcome": outcome, "times": times}
        for (what, outcome), times in sorted(outcomes.items())
    ]
    return rows, problems


def _each_in(folder: Path, make: Callable[[Path], Iterable[T]]) -> Iterable[T]:
    folder.mkdir()
    yield from make(folder)


def main() -> None:
    """Run, print tables, and exit with 1 if anything was lost or wrong."""
    parser = argparse.ArgumentParser(description="Kill a writing process and look for losses.")
    parser.add_argument("--quick", action="store_true", help="fewer of all, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write a JSON object there; - for stdout")
    parser.add_argument("--seed", type=int, default=1, help="of the random operations and moments")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wanted = QUICK_KILLS if arguments.quick else KILLS
        place = Path(folder, "kills")
        place.mkdir()
        kills = list(kill_repeatedly(place, wanted, arguments.seed))
        damaged, problems = damage(Path(folder), arguments.quick, arguments.seed)
    names = sorted({kill.in_flight for kill in kills})
    rows = [_row(name, [kill for kill in kills if kill.in_flight == name]) for name in names]
    rows.append(_row("all", kills))
    problems += [problem for kill in kills for problem in kill.problems]
    result = {
        "machine": describe_machine(),
        "versions": describe_versions([]) | {"sqlite": sqlite3.sqlite_version},
        "rows": rows,
        "damage": damaged,
        "problems": problems,
    }
    publish(result, {name: name for name in rows[0]}, arguments.json)
    columns = {name: name for name in damaged[0]}
    print_table(damaged, columns, to_stderr=arguments.json == "-")
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
