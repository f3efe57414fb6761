"""One large collection: filled, opened, searched and updated, each in a process of its own.

    python benches/scale.py --quick
    python benches/scale.py --documents 1M --json scale.json

The steps are those of users: batches are upserted and flushed into segments; another process opens
the collection, searches it, and writes to it. Memory is the peak of each process (VmHWM), which
counts the pages of the mapped index that searches touched. The vectors to write are mapped from
files that are made beforehand, in a process that isn't measured.
"""

from __future__ import annotations

import argparse
import multiprocessing
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
    resize,
    save_batch,
)
from live import K, fill, upsert
from machine import describe_machine, describe_versions, peak_memory_mb

from index.collection.collection import Collection
from index.collection.field import SPARSE
from lsr.errors import LsrError
from lsr.sparse import SparseBatch

QUICK_SIZE = 10_000
UPDATED = 1_000
ROUNDS = 5
COLUMNS = {"step": "step", "documents": "documents", "figure": "figure", "value": "value"}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of vectors and queries")
    parser.add_argument("--documents", default="1M", help="such as 280k or 1M")
    parser.add_argument("--quick", action="store_true", help="10k documents, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    try:
        size = QUICK_SIZE if options.quick else size_of(options.documents)
        rows = run(options.data, size)
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    report = {
        "machine": describe_machine(),
        "versions": describe_versions(PACKAGES),
        "rows": rows,
    }
    publish(report, COLUMNS, options.json)
    return 0


def run(data: Path, size: int) -> list[dict[str, Any]]:
    """The rows: one for each figure of each step."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="lsr-bench-") as folder:
        path = Path(folder)
        alone(make_vectors, data, path, size)
        for step in (build, open_and_search, update):
            for figure, value in alone(step, data, path).items():
                rows.append(
                    {"step": step.__name__, "documents": size, "figure": figure, "value": value}
                )
    return rows


def alone(step: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """The result of a step in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(step, arguments)


def make_vectors(data: Path, folder: Path, size: int) -> dict[str, float]:
    """Write the documents' vectors where the other processes map them."""
    documents = load_documents(data)
    save_batch(folder, resize(documents, len(documents) if size == 280_000 else size))
    return {}


def build(_: Path, folder: Path) -> dict[str, float]:
    """Fill a collection, with segments built in the background, and flush it."""
    vectors = map_batch(folder, VOCABULARY)
    started = time.perf_counter()
    collection = fill(folder / "collection", vectors)
    seconds = time.perf_counter() - started
    collection.close()
    segments = sum(path.stat().st_size for path in (folder / "collection/segments").iterdir())
    store = (folder / "collection/collection.sqlite").stat().st_size
    return {
        "seconds to write and flush": round(seconds, 1),
        "documents/s": round(len(vectors) / seconds),
        "segments": len(list((folder / "collection/segments").iterdir())),
        "segment bytes a posting": round(segments / vectors.nnz, 2),
        "store bytes a posting": round(store / vectors.nnz, 2),
        "peak MB": round(peak_memory_mb()),
    }


def open_and_search(data: Path, folder: Path) -> dict[str, float]:
    """Open the collection and search it, one query at a time on one thread."""
    started = time.perf_counter()
    collection = Collection.open(folder / "collection")
    view = collection.view()
    made = collection.fields.named(SPARSE)
    for segment in view.segments:
        segment.searcher(SPARSE, "native")
    figures = {"ms to open": round(1000 * (time.perf_counter() - started), 1)}
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
    return figures | {"peak MB": round(peak_memory_mb())}


def update(_: Path, folder: Path) -> dict[str, float]:
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


if __name__ == "__main__":
    sys.exit(main())
