"""Search latency of a collection at rest, and while documents are written to it.

    python benches/live.py --quick
    python benches/live.py --documents 280k --rate 1000 --seconds 30 --json live.json

One thread searches through ``Collection.view``; another writes batches of hand-made vectors, as
the server does. Half of the written documents are new and half replace older ones.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from engine import DATA, PACKAGES, size_of
from engine_bench.report import publish
from engine_bench.vectors import (
    QUERIES,
    SEED,
    load_documents,
    load_queries,
    resize,
    rows_between,
    take,
)
from machine import describe_machine, describe_versions

from index.collection.collection import Collection
from index.collection.field import SPARSE, Field
from lsr.corpus.documents import Document
from lsr.errors import LsrError
from lsr.sparse import SparseBatch

BATCH, BATCHES = 100, 200
LOADING = 10_000
K = 10
QUICK_SIZE, QUICK_SECONDS = 10_000, 6.0
COLUMNS = {
    "load": "load",
    "queries": "queries",
    "documents": "documents",
    "searches": "searches",
    "us_per_query": "us/query",
    "p50_us": "p50",
    "p95_us": "p95",
    "p99_us": "p99",
    "max_us": "max",
    "documents_per_s": "written/s",
    "write_p99_ms": "write p99 ms",
}


@dataclass
class Writer:
    """Writes batches at a rate until it is told to stop; ``milliseconds`` of each write."""

    collection: Collection
    batches: list[SparseBatch]
    existing: int
    rate: int
    milliseconds: list[float] = field(default_factory=list)
    written: int = 0
    seconds: float = 0.0
    error: BaseException | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """A batch each time one is due; late ones follow at once."""
        try:
            self._write()
        except BaseException as error:
            self.error = error

    def _write(self) -> None:
        random = np.random.default_rng(SEED)
        start = time.perf_counter()
        while not self.stop.is_set():
            half = BATCH // 2
            old = random.choice(self.existing, BATCH - half, replace=False).tolist()
            fresh = range(self.existing + self.written, self.existing + self.written + half)
            batch = self.batches[self.written // BATCH % len(self.batches)]
            before = time.perf_counter()
            upsert(self.collection, [*fresh, *old], batch)
            self.milliseconds.append((time.perf_counter() - before) * 1000)
            self.written += BATCH
            due = start + self.written / self.rate
            self.stop.wait(max(0.0, due - time.perf_counter()))
        self.seconds = time.perf_counter() - start


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of vectors and queries")
    parser.add_argument("--documents", default="100k", help="in the collection at the start")
    parser.add_argument("--rate", type=int, default=1000, help="documents written a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of searching, each time")
    parser.add_argument("--quick", action="store_true", help="10k documents, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    try:
        report = run(options)
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    publish(report, COLUMNS, options.json)
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The report: machine, versions, rows."""
    documents = load_documents(options.data)
    size = QUICK_SIZE if options.quick else size_of(options.documents)
    vectors = resize(documents, len(documents) if size == 280_000 else size)
    seconds = min(options.seconds, QUICK_SECONDS) if options.quick else options.seconds
    batches = draw(documents)
    rows = []
    for name in QUERIES:
        queries = load_queries(options.data, name, 1000)
        with (
            tempfile.TemporaryDirectory(prefix="lsr-bench-") as folder,
            closing(fill(Path(folder) / "collection", vectors)) as collection,
        ):
            rows.append(row(name, vectors, search(collection, queries, seconds), None))
            writer = Writer(collection, batches, len(vectors), options.rate)
            thread = threading.Thread(target=writer.run)
            thread.start()
            try:
                times = search(collection, queries, seconds)
            finally:
                writer.stop.set()
                thread.join()
            if writer.error is not None:
                raise writer.error
            rows.append(row(name, vectors, times, writer))
    return {"machine": describe_machine(), "versions": describe_versions(PACKAGES), "rows": rows}


def create(path: Path, vocabulary_size: int) -> Collection:
    """An empty collection with one sparse field, of vectors that are made by hand."""
    # So no encoder of this name is ever loaded.
    return Collection.create(
        path, [Field(SPARSE, "sparse", "made-by-hand", "0" * 16, vocabulary_size)]
    )


def fill(path: Path, vectors: SparseBatch) -> Collection:
    """A collection with one sparse field of these vectors, in one segment."""
    collection = create(path, vectors.vocabulary_size)
    for start in range(0, len(vectors), LOADING):
        end = min(start + LOADING, len(vectors))
        upsert(collection, list(range(start, end)), rows_between(vectors, start, end))
    if not collection.maintenance.flushed():
        collection.maintenance.flush()
    return collection


def draw(documents: SparseBatch) -> list[SparseBatch]:
    """Random batches to write, made beforehand so that the writer does nothing but write."""
    random = np.random.default_rng(SEED)
    rows = random.integers(0, len(documents), BATCHES * BATCH)
    drawn = take(documents, rows)
    return [take(drawn, np.arange(start, start + BATCH)) for start in range(0, len(rows), BATCH)]


def upsert(collection: Collection, numbers: list[int], vectors: SparseBatch) -> None:
    """Write the documents of these numbers."""
    documents = [Document(str(number), f"document {number}") for number in numbers]
    collection.upsert(documents, {SPARSE: vectors})


def search(collection: Collection, queries: SparseBatch, seconds: float) -> list[float]:
    """Microseconds of each search, one after the other, for some seconds after a warm-up."""
    made = collection.fields.named(SPARSE)
    single = [SparseBatch.from_rows([query], queries.vocabulary_size) for query in queries]
    for query in single[:100]:
        collection.view().search_sparse(made, query, K, "native")
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        collection.view().search_sparse(made, single[len(times) % len(single)], K, "native")
        times.append((time.perf_counter() - start) * 1e6)
    return times


def row(
    queries: str, vectors: SparseBatch, times: list[float], writer: Writer | None
) -> dict[str, Any]:
    """One row; at rest there is no writer."""
    return {
        "load": "at rest" if writer is None else f"{writer.rate:,} documents/s",
        "queries": queries,
        "documents": len(vectors),
        "searches": len(times),
        "us_per_query": round(float(np.mean(times)), 1),
        "p50_us": round(float(np.percentile(times, 50)), 1),
        "p95_us": round(float(np.percentile(times, 95)), 1),
        "p99_us": round(float(np.percentile(times, 99)), 1),
        "max_us": round(max(times), 1),
        "documents_per_s": None if writer is None else round(writer.written / writer.seconds),
        "write_p99_ms": None
        if writer is None
        else round(float(np.percentile(writer.milliseconds, 99)), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
