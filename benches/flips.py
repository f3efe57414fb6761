"""Turn one bit over in a store, its log or its commits file, and look what becomes of it.

Each flip is of a fresh copy of one collection. All that can be asked of it is asked: every answer
must be as before, or be refused, or lack a text that is damaged. ``check`` must name the flip,
unless nothing can be read in which it shows: a byte that no row takes, or one that is like another
(SQLite's own counters). After a repair the collection is as it was, or still says what is wrong;
where a log was cut, it is as of an earlier commit, and the repair said how many were given up.
"""

from __future__ import annotations

import logging
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benches.crash import DENSE, DIMENSION, SPARSE, TERMS, vector_of
from index.collection.check import check
from index.collection.collection import STORE_FILE, Collection
from index.collection.maintenance import MaintenanceConfig
from index.collection.repair import RepairReport, accept_commits, repair
from index.filters.text_form import parse_filter_text
from lsr.corpus.documents import Document
from lsr.errors import LsrError
from lsr.sparse import SparseBatch, SparseVector

QUIET = MaintenanceConfig(flush_documents=1_000_000, changed_share=0.0)
DOCUMENTS, NEWER = 120, 8
TABLES = ("documents", "vectors", "metadata", "tallies", "tombstones", "segments", "settings")
QUERIES: tuple[dict[int, float], ...] = (
    {1: 1.0},
    {0: 0.5, 4: 2.0},
    dict.fromkeys(range(TERMS), 1.0),
)
FILTERS = ("year >= 2000", "lang = en", "exists(lang) and not year = 2001")
# What was asked, by name, with what it answered; an error's class where it was refused.
Answers = dict[str, Any]


@dataclass(slots=True)
class Flip:
    """What became of one flip."""

    where: str
    outcome: str
    problems: list[str] = field(default_factory=list)


def write(collection: Collection, numbers: range) -> None:
    """Documents with text, metadata of several kinds, and vectors."""
    documents = [
        Document(
            f"d{n}",
            f"the text of {n} " * (n % 7 + 1),
            f"title {n}" * (n % 3),
            {"year": 1995 + n % 10, "lang": ["en", "fr"][n % 2], "by": {"name": f"Ann {n}"}},
        )
        for n in numbers
    ]
    rows = [SparseVector.from_mapping(vector_of(f"d{n}", n)) for n in numbers]
    dense = np.array([[n] * DIMENSION for n in numbers], dtype=np.float32)
    vectors = {"sparse": SparseBatch.from_rows(rows, TERMS), "dense": dense}
    collection.upsert(documents, vectors)


def make_store(folder: Path) -> Path:
    """A closed collection with a segment, a tail, and deletions from both."""
    path = folder / "whole"
    with closing(Collection.create(path, [SPARSE, DENSE], QUIET)) as collection:
        write(collection, range(DOCUMENTS))
        collection.maintenance.flush()
        write(collection, range(DOCUMENTS, DOCUMENTS + NEWER))
        collection.delete([f"d{n}" for n in range(0, DOCUMENTS + NEWER, 17)])
    return path


def make_log(folder: Path) -> tuple[Path, list[Answers]]:
    """A collection as a kill leaves it, commits in its log, and its answers after each of them."""
    live = make_store(folder)
    states = [answers(live)]
    collection = Collection.open(live, QUIET)
    for step in range(NEWER):
        write(collection, range(200 + step, 203 + step))
        states.append(answers(live))
    path = folder / "killed"
    shutil.copytree(live, path)
    (path / f"{STORE_FILE}-shm").unlink()
    collection.close()
    shutil.rmtree(live)
    return path, states


def answers(path: Path) -> Answers:
    """All that can be asked of a collection, in a handle of its own."""
    found: Answers = {}
    try:
        collection = Collection.open(path, QUIET)
    except LsrError as error:
        return {"open": type(error).__name__}
    with closing(collection):
        for number, query in enumerate(QUERIES):
            for text in ("", *FILTERS):
                ask = _searching(collection, query, text)
                found[f"search {number} {text}"] = _asked(ask)
        for n in range(0, DOCUMENTS + NEWER, 5):
            found[f"get d{n}"] = _asked(lambda n=n: collection.get(f"d{n}"))
        found["ids"] = _asked(lambda: sorted(collection.ids()))
        found["count"] = _asked(lambda: len(collection))
        found["digest"] = _asked(collection.digest)
    return found


def _asked(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except LsrError as error:
        return type(error)


def _searching(collection: Collection, query: dict[int, float], text: str) -> Callable[[], Any]:
    def search() -> list[tuple[str, float, Document | None]]:
        batch = SparseBatch.from_rows([SparseVector.from_mapping(query)], TERMS)
        with collection.pinned() as view:
            masks = view.masks(parse_filter_text(text)) if text else None
            ranking = view.search_sparse(SPARSE, batch, 20, "native", masks=masks).ranking(0)
            numbers = [number for number, _ in ranking]
            documents = view.store.sound_documents(numbers)
            ids = view.store.ids(numbers)
        return [(ids[number], score, documents.get(number)) for number, score in ranking]

    return search


def is_right(found: Answers, expected: Answers) -> bool:
    """Whether each answer is the expected one, refused, or lacks a text that is damaged."""
    if "open" in found:
        return True
    return all(_same(answer, expected[name]) for name, answer in found.items())


def _same(answer: Any, expected: Any) -> bool:
    if isinstance(answer, type):
        return True
    if isinstance(answer, list) and isinstance(expected, list) and len(answer) == len(expected):
        pairs = zip(answer, expected, strict=True)
        return all(
            a == b or (isinstance(a, tuple) and a[:2] == b[:2] and a[2] is None) for a, b in pairs
        )
    return bool(answer == expected)


def contents(path: Path) -> list[Any] | None:
    """Every row of every table; None where that can't be read."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as store:
            store.text_factory = bytes
            return [store.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES]
    except sqlite3.Error:
        return None


def flip_bit(path: Path, numbers: random.Random) -> str:
    """Turn a random bit of a file over; says which."""
    data = bytearray(path.read_bytes())
    bit = numbers.randrange(8 * len(data))
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    return f"{path.name} byte {bit // 8} bit {bit % 8}"


def flips(folder: Path, name: str, count: int, seed: int) -> Iterator[Flip]:
    """Flip bits of the ``store``, the ``log`` or the ``commits`` file, one at a time."""
    logging.disable(logging.CRITICAL)
    numbers = random.Random(f"{name}/{seed}")
    place = folder / name
    place.mkdir()
    if name == "log":
        whole, states = make_log(place)
        file = f"{STORE_FILE}-wal"
    else:
        whole = make_store(place)
        states = [answers(whole)]
        file = STORE_FILE if name == "store" else "collection.commits"
    rows = contents(whole / STORE_FILE) if name == "store" else None
    try:
        for _ in range(count):
            copy = place / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(whole, copy)
            where = flip_bit(copy / file, numbers)
            yield _look(copy, where, states, rows)
    finally:
        logging.disable(logging.NOTSET)


def _look(path: Path, where: str, states: list[Answers], rows: list[Any] | None) -> Flip:
    flip = Flip(where, "")
    expected = states[-1]
    found = answers(path)
    if not is_right(found, expected):
        wrong = [name for name, answer in found.items() if not _same(answer, expected[name])]
        flip.problems.append(f"{where}: wrong answers to {wrong}")
    named = _problems(path)
    if not named:
        flip.outcome = "nothing to see"
        if found != expected or (rows is not None and contents(path / STORE_FILE) != rows):
            flip.problems.append(f"{where}: not named by check")
        return flip
    done = _repair(path)
    left, after = _problems(path), answers(path)
    if left:
        flip.outcome = "named, left to a snapshot"
        if not is_right(after, expected):
            flip.problems.append(f"{where}: wrong answers after a repair that says {left[0]}")
    elif after == expected:
        flip.outcome = "named, repaired"
    elif after in states and any("given up" in said for said in done.said):
        flip.outcome = "named, back at a commit"
    elif done.said and any("are there" in said for said in done.said):
        flip.outcome = "named, loss said"
    else:
        wrong = [name for name in after if after[name] != expected.get(name)]
        flip.problems.append(f"{where}: {wrong} differ after a repair without a problem: {named}")
    return flip


def _problems(path: Path) -> list[str]:
    try:
        with closing(Collection.open(path, QUIET)) as collection:
            return check(collection).problems
    except LsrError as error:
        return [str(error)]


def _repair(path: Path) -> RepairReport:
    done = RepairReport()
    try:
        accept_commits(path, done)
        with closing(Collection.open(path, QUIET)) as collection:
            repair(collection, check(collection), done)
    except LsrError as error:
        done.said.append(str(error))
    return done
