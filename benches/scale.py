"""Large collections: filled, opened, searched and updated, each in a process of its own.

    python benches/scale.py --quick
    python benches/scale.py --documents 280k,1M,4M --json scale.json --plot growth.png

The steps are those of users: batches are upserted and flushed into segments; another process opens
the collection, searches it, and writes to it. Memory is the peak of each process (VmHWM), which
counts all of an index that is searched. The vectors to write are mapped from files that are made
beforehand, in a process that isn't measured. What is kept with ``--keep`` is used again by the next
run, and not updated.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from engine import DATA, PACKAGES, size_of
from engine_bench.report import publish
from engine_bench.vectors import (
    QUERIES,
    VOCABULARY,
    load_documents,
    load_queries,
    map_batch,
    save_resized,
)
from live import K, fill, upsert
from machine import describe_machine, describe_versions, peak_memory_mb, resident_memory_mb

from index.collection.collection import Collection
from index.collection.field import SPARSE
from lsr.errors import LsrError
from lsr.sparse import SparseBatch
from lsr.threads import available_cores

QUICK_SIZE = 10_000
UPDATED = 1_000
ROUNDS = 5
# A file beside a collection that is kept, once it is built.
WHOLE = "whole"
COLUMNS = {"step": "step", "documents": "documents", "figure": "figure", "value": "value"}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of vectors and queries")
    parser.add_argument("--documents", default="1M", help="such as 280k or 1M,4M,8.8M")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of collections to use again")
    parser.add_argument("--quick", action="store_true", help="10k documents, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="microseconds by documents")
    options = parser.parse_args(arguments)
    try:
        sizes = [size_of(name) for name in options.documents.split(",")]
        rows = run(options.data, [QUICK_SIZE] if options.quick else sizes, options.keep)
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
        plot_growth(options.plot, rows)
    return 0


def run(data: Path, sizes: list[int], keep: Path | None) -> list[dict[str, Any]]:
    """The rows: one for each figure of each step of each size."""
    rows = []
    for size in sizes:
        with contextlib.ExitStack() as stack:
            if keep is None:
                path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lsr-bench-")))
                steps = [make_vectors, build, open_and_search, update]
            else:
                path = keep / str(size)
                steps = [open_and_search]
                if not (path / WHOLE).exists():
                    shutil.rmtree(path, ignore_errors=True)
                    path.mkdir(parents=True)
                    steps = [make_vectors, build, open_and_search]
            for step in steps:
                found = alone(step, data, path, size)
                rows += [
                    {"step": step.__name__, "documents": size, "figure": figure, "value": value}
                    for figure, value in found.items()
                ]
    return rows


def alone(step: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """The result of a step in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(step, arguments)


def make_vectors(data: Path, folder: Path, size: int) -> dict[str, float]:
    """Write the documents' vectors where the other processes map them."""
    documents = load_documents(data)
    save_resized(folder, documents, len(documents) if size == 280_000 else size)
    return {}


def build(_: Path, folder: Path, size: int) -> dict[str, float]:
    """Fill a collection, with segments built in the background, and flush it."""
    vectors = map_batch(folder, VOCABULARY)
    started = time.perf_counter()
    collection = fill(folder / "collection", vectors)
    seconds = time.perf_counter() - started
    collection.close()
    segments = sum(path.stat().st_size for path in (folder / "collection/segments").iterdir())
    store = (folder / "collection/collection.sqlite").stat().st_size
    (folder / WHOLE).touch()
    return {
        "seconds to write and flush": round(seconds, 1),
        "documents/s": round(len(vectors) / seconds),
        "segments": len(list((folder / "collection/segments").iterdir())),
        "segment bytes a posting": round(segments / vectors.nnz, 2),
        "store bytes a posting": round(store / vectors.nnz, 2),
        "peak MB": round(peak_memory_mb()),
    }


def open_and_search(data: Path, folder: Path, _: int) -> dict[str, float]:
    """Open the collection and search it, one query at a time on one thread."""
    started = time.perf_counter()
    collection = Collection.open(folder / "collection")
    view = collection.view()
    made = collection.fields.named(SPARSE)
    for segment in view.segments:
        segment.searcher(SPARSE, "native")
    figures = {
        "ms to open": round(1000 * (time.perf_counter() - started), 1),
        "segments": len(view.segments),
        "MB after opening": round(resident_memory_mb()),
    }
    for name in QUERIES:
        queries = load_queries(data, name, 1000)
        single = [SparseBatch.from_rows([query], VOCABULARY) for query in queries]
        times = np.empty((ROUNDS, len(single)))
        for round_ in range(ROUNDS):
            for place, query in enumerate(single):
                before = time.perf_counter()
                view.search_sparse(made, query, K, "native")
                times[round_, place] = 1e6 * (time.perf_counter() - before)
        middle = np.median(times[1:], axis=0)
        figures[f"us a search, {name}, mean"] = round(float(middle.mean()), 1)
        figures[f"us a search, {name}, p50"] = round(float(np.percentile(middle, 50)), 1)
        figures[f"us a search, {name}, p99"] = round(float(np.percentile(middle, 99)), 1)
        before = time.perf_counter()
        view.search_sparse(made, queries, K, "native")
        together = 1e6 * (time.perf_counter() - before) / len(queries)
        figures[f"us a search, {name}, all at once on {available_cores()} cores"] = round(
            together, 1
        )
    return figures | {"peak MB": round(peak_memory_mb())}


def update(_: Path, folder: Path, size: int) -> dict[str, float]:
    """Replace a thousand documents, delete a thousand, and search after each."""
    vectors = map_batch(folder, VOCABULARY)
    collection = Collection.open(folder / "collection")
    made, batch = collection.fields.named(SPARSE), vectors.head(UPDATED)
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


def plot_growth(path: Path, rows: list[dict[str, Any]]) -> None:
    """Mean microseconds of a search by the number of documents, a line for each kind of query."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(5.5, 4.5), layout="constrained")
    for name in QUERIES:
        points = [
            (row["documents"], row["value"])
            for row in rows
            if row["figure"] == f"us a search, {name}, mean"
        ]
        axis.plot(*zip(*points, strict=True), "o-", label=f"{name} queries")
    axis.set(xlabel="documents", ylabel="microseconds a query, one thread", xscale="log")
    axis.set(yscale="log")
    axis.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
