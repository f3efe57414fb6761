"""Put segments that someone forged, or bits that fell over, into a collection, and look.

Every forged segment has valid checksums, and contents that no build writes: counts of 2^64-1,
document orders of 2^32-1, offsets out of range, arrays that don't ascend, weights that are NaN,
infinite, negative or another document's, or all of another collection or generation. It is put

    planted    into the collection, whose store still knows the file that was written there
    believed   into the collection, with the store changed to vouch for it
    restored   into a snapshot whose store and manifest vouch for it, which is then restored

A process of its own opens and searches each. It must not crash. Planted and restored ones must
leave every answer as it was; a believed one is refused unless no search could leave its arrays.
A flipped bit must be named by ``check``, change no answer, and be gone after a repair.

    python benches/hostile.py [--quick] [--seed N] [--json FILE|-]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import multiprocessing
import random
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benches.crash import DENSE, SPARSE, TERMS, upsert
from benches.engine_bench.report import publish
from benches.forgery import Forgery, forged
from benches.machine import describe_machine, describe_versions
from index.collection.check import check
from index.collection.collection import Collection
from index.collection.maintenance import MaintenanceConfig
from index.collection.repair import repair
from index.collection.schema import row_checksum
from index.collection.snapshot import restore, snapshot
from lsr.errors import LsrError
from lsr.sparse import SparseBatch, SparseVector

FORGED, FLIPPED = 250, 300
QUICK_FORGED, QUICK_FLIPPED = 40, 30
DOCUMENTS, DELETED = 400, 15
LONGEST_S = 120
WAYS = ("planted", "believed", "restored")
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["benches.hostile", "faiss"])
# What a search finds: sequence numbers and scores, for each engine and query.
Answers = list[list[tuple[int, float]]]


def make_collection(path: Path, documents: int = DOCUMENTS) -> None:
    """A collection of one segment, some of whose documents are deleted, and a tail."""
    config = MaintenanceConfig(flush_documents=10 * documents)
    with closing(Collection.create(path, [SPARSE, DENSE], config)) as collection:
        upsert(collection, [(f"d{number}", 1) for number in range(documents)])
        collection.maintenance.flush()
        collection.delete([f"d{number}" for number in range(0, documents, documents // DELETED)])
        upsert(collection, [("tail", 2)])


def answers(collection: Collection) -> Answers:
    """What searches of both fields find."""
    numbers = random.Random(7)
    queries = SparseBatch.from_rows(
        [
            SparseVector.from_mapping(
                {term: numbers.choice([0.5, 1.0, 3.0]) for term in numbers.sample(range(TERMS), n)}
            )
            for n in (1, 2, 3, TERMS)
        ],
        TERMS,
    )
    dense = np.array([[1, 0, 0, 0], [0.5, -1, 2, 1]], dtype=np.float32)
    with collection.pinned() as view:
        found = [
            view.search_sparse(SPARSE, queries, k, engine)
            for engine in ("native", "reference")
            for k in (1, 2, 10, 1000)
        ]
        found.append(view.search_dense(DENSE, dense, 10))
        return [top.ranking(row) for top in found for row in range(len(top.documents))]


class Outcome(NamedTuple):
    """What came of one file: what was done to it, whether it was refused, what was wrong."""

    way: str
    what: str
    refused: bool
    problems: list[str]


def examine(way: str, what: str, path: Path, expected: Answers, snapshot_path: Path) -> Outcome:
    """Open, search, check and repair, in the process that may crash."""
    problems: list[str] = []
    try:
        if way == "restored":
            restore(snapshot_path, path)
        with closing(Collection.open(path)) as collection:
            right = answers(collection) == expected
            report = check(collection)
            named = bool(report.damaged)
            if way in ("planted", "flipped") and not named:
                problems.append("check names no segment")
            if not right and way != "believed":
                problems.append("a search found something else")
            if way == "restored" and report.problems:
                problems.append(f"restored with problems: {report.problems[0]}")
            # What a store vouches for and no search can fall over: but check says what it is.
            if not right and not named:
                problems.append("it answers wrongly, and check says nothing")
            repair(collection, report)
        with closing(Collection.open(path)) as collection:
            if answers(collection) != expected or check(collection).problems:
                problems.append("a repair does not help")
            return Outcome(way, what, named, problems)
    except LsrError as error:
        return Outcome(way, what, True, [f"it can't be used any more: {error}"])
    except Exception as error:
        return Outcome(way, what, False, [f"{type(error).__name__}: {error}"])


class Examiner:
    """Does ``examine`` in another process, which is started anew when it crashes or hangs."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._pipe, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_examine_all, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def __call__(self, way: str, what: str, *arguments: Any) -> Outcome:
        self._pipe.send((way, what, *arguments))
        try:
            if self._pipe.poll(LONGEST_S):
                outcome: Outcome = self._pipe.recv()
                return outcome
            end = "it hangs"
        except EOFError:
            self._process.join()
            end = f"crashed with exit code {self._process.exitcode}"
        self.close()
        self._start()
        return Outcome(way, what, False, [end])

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _examine_all(pipe: Any) -> None:
    logging.disable()
    while True:
        pipe.send(examine(*pipe.recv()))


class Base(NamedTuple):
    """An intact collection and its snapshot, with what searches of it find, and a stranger."""

    collection: Path
    snapshot: Path
    other: Path
    expected: Answers

    @classmethod
    def make(cls, folder: Path) -> Base:
        """All of it, in an empty folder."""
        made = cls(folder / "collection", folder / "snapshot", folder / "other", [])
        make_collection(made.collection)
        make_collection(made.other, DOCUMENTS // 2)
        with closing(Collection.open(made.collection)) as collection:
            snapshot(collection, made.snapshot)
            return made._replace(expected=answers(collection))

    def attack(self, examiner: Examiner, folder: Path, way: str, forgery: Forgery) -> Outcome:
        """Copy, put the file in, and examine."""
        collection, taken = folder / "c", folder / "s"
        if way == "restored":
            shutil.copytree(self.snapshot, taken)
            _segment_of(taken).write_bytes(forgery.data)
            _vouch(taken / "snapshot.sqlite", forgery.digest)
            manifest = json.loads((taken / "snapshot.json").read_bytes())
            for name in manifest["files"]:
                content = (taken / name).read_bytes()
                blake2b = hashlib.blake2b(content).hexdigest()
                manifest["files"][name] = {"bytes": len(content), "blake2b": blake2b}
            (taken / "snapshot.json").write_text(json.dumps(manifest))
        else:
            shutil.copytree(self.collection, collection)
            _segment_of(collection).write_bytes(forgery.data)
            if way == "believed":
                _vouch(collection / "collection.sqlite", forgery.digest)
        try:
            return examiner(way, forgery.what, collection, self.expected, taken)
        finally:
            for place in (collection, taken):
                shutil.rmtree(place, ignore_errors=True)

    def outcomes(self, folder: Path, count: int, flips: int, seed: int) -> Iterator[Outcome]:
        """``count`` forged segments, each put in all ways, and ``flips`` flipped bits."""
        segment = _segment_of(self.collection)
        intact, other = segment.read_bytes(), _segment_of(self.other)
        numbers = random.Random(seed)
        with closing(Examiner()) as examiner:
            for _ in range(count):
                forgery = forged(segment, other, numbers)
                for way in WAYS:
                    yield self.attack(examiner, folder, way, forgery)
            for _ in range(flips):
                damaged = bytearray(intact)
                damaged[numbers.randrange(len(intact))] ^= 1 << numbers.randrange(8)
                flipped = Forgery("a bit", bytes(damaged), b"")
                yield self.attack(examiner, folder, "flipped", flipped)


def _segment_of(collection: Path) -> Path:
    (path,) = (collection / "segments").iterdir()
    return path


def _vouch(store: Path, digest: bytes) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        (row,) = connection.execute("SELECT generation, after, last, documents FROM segments")
        connection.execute(
            "UPDATE segments SET digest = ?, checksum = ?", (digest, row_checksum(*row, digest))
        )


def main() -> None:
    """Run, print a table, and exit with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description="Forge segments, flip bits, and look.")
    parser.add_argument("--quick", action="store_true", help="fewer of both")
    parser.add_argument("--json", metavar="FILE", help="write a JSON object there; - for stdout")
    parser.add_argument("--seed", type=int, default=1, help="of the forgeries and flips")
    arguments = parser.parse_args()
    counts = (QUICK_FORGED, QUICK_FLIPPED) if arguments.quick else (FORGED, FLIPPED)
    with tempfile.TemporaryDirectory() as folder:
        base = Base.make(Path(folder))
        outcomes = list(base.outcomes(Path(folder), *counts, arguments.seed))
    rows = [
        {
            "way": way,
            "files": sum(outcome.way == way for outcome in outcomes),
            "refused": sum(outcome.way == way and outcome.refused for outcome in outcomes),
            "problems": sum(outcome.way == way and bool(outcome.problems) for outcome in outcomes),
        }
        for way in (*WAYS, "flipped")
    ]
    result = {
        "machine": describe_machine(),
        "versions": describe_versions(["numpy"]),
        "rows": rows,
    }
    publish(result, {name: name for name in rows[0]}, arguments.json)
    bad = Counter(
        f"{outcome.way}: {outcome.what}: {problem}"
        for outcome in outcomes
        for problem in outcome.problems
    )
    for line, times in bad.most_common():
        print(f"{times} x {line}", file=sys.stderr)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
