"""Latency, recall and ingest rate of this project's engine and of Qdrant's, side by side.

    python benches/qdrant.py --quick
    python benches/qdrant.py --json qdrant.json

Both search the same float16 weights exactly, on one thread, in processes of their own that take
turns. What is timed, and how, is that of benches/engine.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from engine import DATA, PACKAGES
from engine_bench.comparison import Plan, compare
from engine_bench.report import publish
from engine_bench.vectors import QUERIES, load_documents, load_queries, resize, take
from machine import describe_machine, describe_versions
from packages import installed
from peers.engine import EXACT, NEEDS
from peers.ours import native_order

from lsr.errors import LsrError

ENGINES = ["lsr", "qdrant"]
QUICK_DOCUMENTS, QUICK_QUERIES, QUICK_ROUNDS = 10_000, 100, 3
COLUMNS = {
    "engine": "engine",
    "queries": "queries",
    "documents": "docs",
    "mode": "mode",
    "us_per_query": "us/query",
    "spread": "IQR",
    "p50_us": "p50",
    "p99_us": "p99",
    "recall_at_10": "R@10",
    "build_s": "build s",
    "documents_per_s": "docs/s",
    "bytes_per_posting": "B/posting",
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
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of vectors and queries")
    parser.add_argument("--queries", type=int, default=1000, help="of each kind; at most 1000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="10k documents, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The report: machine, versions, rows."""
    engines = installed(ENGINES, NEEDS)
    count = min(options.queries, QUICK_QUERIES) if options.quick else options.queries
    rounds = min(options.rounds, QUICK_ROUNDS) if options.quick else options.rounds
    documents = load_documents(options.data)
    if options.quick:
        documents = resize(documents, QUICK_DOCUMENTS)
    queries = {name: load_queries(options.data, name, count) for name in QUERIES}
    with tempfile.TemporaryDirectory(prefix="lsr-bench-") as folder:
        plan = Plan(rounds=rounds, probe=count, order="native")
        arranged = take(documents, native_order(documents))
        rows = compare(engines, arranged, queries, Path(folder), plan)
    exact = [row for row in rows if row["mode"] == EXACT]
    for row in exact:
        row["documents_per_s"] = round(row["documents"] / max(row["build_s"], 0.01))
    return {
        "machine": describe_machine(),
        "versions": describe_versions(PACKAGES),
        "rows": exact,
    }


if __name__ == "__main__":
    sys.exit(main())
