"""Large collections: filled, opened, searched and updated, each in a process of its own.

    python benches/scale.py --quick
    python benches/scale.py --documents 280k,1M,4M --json scale.json --plot growth.png

The steps are those of users: batches are upserted and flushed into segments; another process opens
the collection, searches it, and writes to it; one more maps it from a disk and searches that. With
``--kill`` the build is killed on the way, and another process looks at what is there and goes on.

Memory is the peak of each process (VmHWM), which counts all of an index that is searched, and all
pages of mapped files that are in memory. The vectors to write are read batch by batch, from files
that are made beforehand, in a process that isn't measured, and are removed once they are written.
What is kept with ``--keep`` is used again by the next run, and not updated.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from engine import DATA, PACKAGES, size_of
from engine_bench.report import plot_growth, publish
from engine_bench.vectors import (
    QUERIES,
    VOCABULARY,
    load_documents,
    load_queries,
    map_batch,
    save_batch,
    save_resized,
)
from live import LOADING, K, create, upsert
from machine import (
    describe_machine,
    describe_versions,
    peak_memory_mb,
    private_memory_mb,
    resident_memory_mb,
)

from index.collection.collection import Collection, is_collection
from index.collection.field import SPARSE
from lsr.errors import LsrError
from lsr.sparse import SparseBatch
from lsr.threads import available_cores

QUICK_SIZE = 10_000
UPDATED = 1_000
ROUNDS = 5
# Files beside a collection: that it is built, how many documents were acknowledged, and a folder of
# vectors to update it with.
WHOLE, ACKNOWLEDGED, UPDATES = "whole", "acknowledged", "updates"
COLUMNS = {"step": "step", "documents": "documents", "figure": "figure", "value": "value"}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of vectors and queries")
    parser.add_argument("--documents", default="1M", help="such as 280k or 1M,4M,8.8M")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of collections to use again")
    parser.add_argument("--kill", action="store_true", help="kill the build, and go on with it")
    parser.add_argument("--mapped", action="store_true", help="search it mapped from a disk alone")
    parser.add_argument("--quick", action="store_true", help="10k documents, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="microseconds by documents")
    options = parser.parse_args(arguments)
    try:
        sizes = [size_of(name) for name in options.documents.split(",")]
        sizes = [QUICK_SIZE] if options.quick else sizes
        rows = run(options.data, sizes, options.keep, options.kill, options.mapped)
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    report = {
        "machine": describe_machine(),
        "versions": describe_versions(PACKAGES),
        "rows": rows,
    }
    publish(report, COLUMNS, options.json)
    if options.plot:
        plot_growth(options.plot, {"whole collections": growth(rows)})
    return 0


def run(
    data: Path, sizes: list[int], keep: Path | None, kill: bool, mapped: bool
) -> list[dict[str, Any]]:
    """The rows: one for each figure of each step of each size."""
    rows = []
    for size in sizes:
        with contextlib.ExitStack() as stack:
            if keep is None:
                path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lsr-bench-")))
            else:
                path = keep / str(size)
            steps: list[Callable[[Path, Path, int], dict[str, float]]] = []
            if not (path / WHOLE).exists():
                shutil.rmtree(path, ignore_errors=True)
                path.mkdir(parents=True)
                steps += [make_vectors, *([killed, look_after] if kill else []), build]
            steps += [search_mapped] if mapped else [open_and_search, search_mapped]
            if keep is None:
                steps.append(update)
            for step in steps:
                found = step(data, path, size) if step is killed else alone(step, data, path, size)
                rows += [
                    {"step": step.__name__, "documents": size, "figure": figure, "value": value}
                    for figure, value in found.items()
                ]
    return rows


def alone(step: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """The result of a step in a new process.

    Raises:
        LsrError: the process was killed, as where memory is short.
    """
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, context) as pool:
            return pool.submit(step, *arguments).result()
    except BrokenProcessPool as error:
        name = getattr(step, "__name__", "a step")
        raise LsrError(
            f"the process of {name} was killed; see that there is memory, or give fewer --documents"
        ) from error


def make_vectors(data: Path, folder: Path, size: int) -> dict[str, float]:
    """Write the documents' vectors where the other processes read them."""
    documents = load_documents(data)
    save_resized(folder, documents, len(documents) if size == 280_000 else size)
    (folder / UPDATES).mkdir()
    save_batch(folder / UPDATES, documents.head(UPDATED))
    return {}


class Vectors:
    """Rows of what ``save_resized`` wrote, read from its files: no page of them is mapped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._starts = np.load(folder / "indptr.npy")
        self.postings = int(self._starts[-1])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def rows(self, begin: int, end: int) -> SparseBatch:
        """Those from ``begin`` to ``end``."""
        starts = self._starts[begin : end + 1]
        indices, values = (self._read(name, starts) for name in ("indices", "values"))
        return SparseBatch(starts - starts[0], indices, values, VOCABULARY)

    def _read(self, name: str, starts: Any) -> Any:
        path = self._folder / f"{name}.npy"
        array = np.load(path, mmap_mode="r")
        place = array.offset + array.itemsize * int(starts[0])
        return np.fromfile(path, array.dtype, int(starts[-1] - starts[0]), offset=place)


def build(_: Path, folder: Path, size: int, kill: bool = False) -> dict[str, float]:
    """Fill a collection, or go on, with segments built in the background, and flush it.

    ``kill`` ends this process by SIGKILL, from half of the documents on, when a segment is written.
    """
    vectors = Vectors(folder)
    path = folder / "collection"
    started = time.perf_counter()
    collection = Collection.open(path) if is_collection(path) else create(path, VOCABULARY)
    first = len(collection)
    for begin in range(first, len(vectors), LOADING):
        end = min(begin + LOADING, len(vectors))
        upsert(collection, list(range(begin, end)), vectors.rows(begin, end))
        (folder / ACKNOWLEDGED).write_text(str(end))
        if kill and begin < len(vectors) // 2 <= end:
            kill_in_a_build(path / "segments")
    if not collection.maintenance.flushed():
        collection.maintenance.flush()
    seconds = time.perf_counter() - started
    collection.close()
    segments = sum(path.stat().st_size for path in (path / "segments").iterdir())
    store = (path / "collection.sqlite").stat().st_size
    for name in ("indptr", "indices", "values"):
        (folder / f"{name}.npy").unlink()
    (folder / WHOLE).touch()
    return {
        "seconds to write and flush": round(seconds, 1),
        "documents/s": round((len(vectors) - first) / seconds),
        "segments": len(list((path / "segments").iterdir())),
        "segment bytes a posting": round(segments / vectors.postings, 2),
        "store bytes a posting": round(store / vectors.postings, 2),
        "unfinished files": len(unfinished(path)),
        "peak MB": round(peak_memory_mb()),
    }


def kill_in_a_build(segments: Path) -> None:
    """End this process as ``kill -9`` would, once a segment is written and yet without its name."""

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and Path(arguments[0]).parent == segments:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def unfinished(path: Path) -> list[Path]:
    """The files of a collection that writing a segment leaves where it doesn't come to an end."""
    return list((path / "segments").glob("*.tmp*"))


def killed(data: Path, folder: Path, size: int) -> dict[str, float]:
    """A build that is killed on the way."""
    with contextlib.suppress(LsrError):
        alone(partial(build, kill=True), data, folder, size)
    return {"documents acknowledged": int((folder / ACKNOWLEDGED).read_text())}


def look_after(_: Path, folder: Path, size: int) -> dict[str, float]:
    """What is there of a collection whose build was killed; what was acknowledged has to be."""
    path = folder / "collection"
    left = len(unfinished(path))
    started = time.perf_counter()
    with closing(Collection.open(path)) as collection:
        found = len(collection.view())
        milliseconds = 1000 * (time.perf_counter() - started)
        acknowledged = int((folder / ACKNOWLEDGED).read_text())
        # The batch after it may have been written and not acknowledged.
        if not acknowledged <= found <= acknowledged + LOADING:
            raise LsrError(f"{acknowledged} documents were acknowledged and {found} are there")
    return {
        "documents there": found,
        "ms to open": round(milliseconds, 1),
        "unfinished files": left,
    }


def open_and_search(data: Path, folder: Path, _: int) -> dict[str, float]:
    """Open the collection and search it, one query at a time on one thread."""
    return searched(data, folder, None)


def search_mapped(data: Path, folder: Path, _: int) -> dict[str, float]:
    """The same of a collection that is mapped from the disk that it lies on."""
    return searched(data, folder, folder)


def searched(data: Path, folder: Path, mapped_in: Path | None) -> dict[str, float]:
    """Open a collection and search it; ``mapped_in`` as of ``Collection.open``."""
    queries = {name: load_queries(data, name, 1000) for name in QUERIES}
    single = {
        name: [SparseBatch.from_rows([query], VOCABULARY) for query in batch]
        for name, batch in queries.items()
    }
    started = time.perf_counter()
    collection = Collection.open(folder / "collection", mapped_in=mapped_in)
    view = collection.view()
    figures = {
        "ms to open": round(1000 * (time.perf_counter() - started), 1),
        "segments": len(view.segments),
    }
    made = collection.fields.named(SPARSE)
    view.search_sparse(made, single["splade"][0], K, "native")
    figures["ms to the first answer"] = round(1000 * (time.perf_counter() - started), 1)
    for segment in view.segments:
        segment.indexes[SPARSE].complete()
    figures["ms until all is unpacked"] = round(1000 * (time.perf_counter() - started), 1)
    figures["MB after opening"] = round(resident_memory_mb())
    figures["MB of it private"] = round(private_memory_mb())
    for name in QUERIES:
        times = np.empty((ROUNDS, len(single[name])))
        for round_ in range(ROUNDS):
            for place, query in enumerate(single[name]):
                before = time.perf_counter()
                view.search_sparse(made, query, K, "native")
                times[round_, place] = 1e6 * (time.perf_counter() - before)
        middle = np.median(times[1:], axis=0)
        figures[f"us a search, {name}, mean"] = round(float(middle.mean()), 1)
        figures[f"us a search, {name}, p50"] = round(float(np.percentile(middle, 50)), 1)
        figures[f"us a search, {name}, p99"] = round(float(np.percentile(middle, 99)), 1)
        before = time.perf_counter()
        view.search_sparse(made, queries[name], K, "native")
        together = 1e6 * (time.perf_counter() - before) / len(queries[name])
        figures[f"us a search, {name}, all at once on {available_cores()} cores"] = round(
            together, 1
        )
    return figures | {"peak MB": round(peak_memory_mb())}


def update(_: Path, folder: Path, size: int) -> dict[str, float]:
    """Replace a thousand documents, delete a thousand, and search after each."""
    batch = map_batch(folder / UPDATES, VOCABULARY)
    collection = Collection.open(folder / "collection")
    made = collection.fields.named(SPARSE)
    collection.view().search_sparse(made, batch.head(1), K, "native")
    figures = {}
    for what, write in (
        ("replace", lambda: upsert(collection, list(range(UPDATED)), batch)),
        ("delete", lambda: collection.delete(str(n) for n in range(UPDATED, 2 * UPDATED))),
    ):
        before = time.perf_counter()
        write()
        written = time.perf_counter()
        collection.view().search_sparse(made, batch.head(1), K, "native")
        figures[f"ms to {what} {UPDATED:,}"] = round(1000 * (written - before), 1)
        figures[f"ms to the first search after {what}"] = round(
            1000 * (time.perf_counter() - written), 1
        )
    collection.close()
    return figures | {"peak MB": round(peak_memory_mb())}


def growth(rows: list[dict[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Documents and mean microseconds of a search in memory, by kind of queries."""
    return {
        f"{name} queries": [
            (row["documents"], row["value"])
            for row in rows
            if row["step"] == "open_and_search" and row["figure"] == f"us a search, {name}, mean"
        ]
        for name in QUERIES
    }


if __name__ == "__main__":
    sys.exit(main())
