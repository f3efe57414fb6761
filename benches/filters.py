"""Latency of searches among some of the documents only: filters that half, few or hardly any pass.

    python benches/filters.py --quick
    python benches/filters.py --size 280k --json filters.json

BMP and Seismic have no filters; Lucene has, and is compared.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from engine import COLUMNS, DATA, PACKAGES, size_of
from engine_bench.comparison import ALL, Plan, compare
from engine_bench.report import publish
from engine_bench.vectors import QUERIES, SEED, load_documents, load_queries, resize
from machine import describe_machine, describe_versions
from packages import installed
from peers.engine import NEEDS

from lsr.errors import LsrError

FILTERING = ["lsr", "lucene"]
PASSING = {"50 %": 0.5, "5 %": 0.05, "0.1 %": 0.001}
QUICK_SIZE, QUICK_QUERIES = 10_000, 100


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of vectors and queries")
    parser.add_argument("--size", default="280k", help="such as 10k or 280k")
    parser.add_argument("--queries", type=int, default=1000, help="of each kind; at most 1000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="10k documents, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    try:
        report = run(options)
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    columns = {"engine": "engine", "passing": "passing"} | COLUMNS
    publish(report, columns, options.json)
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The report: machine, versions, rows."""
    engines = installed(FILTERING, NEEDS)
    count = min(options.queries, QUICK_QUERIES) if options.quick else options.queries
    documents = load_documents(options.data)
    size = QUICK_SIZE if options.quick else size_of(options.size)
    documents = resize(documents, len(documents) if size == 280_000 else size)
    queries = {name: load_queries(options.data, name, count) for name in QUERIES}
    random = np.random.default_rng(SEED)
    draws = random.random(len(documents))
    masks = {name: (draws < share).astype(np.uint8) for name, share in PASSING.items()}
    rounds = 3 if options.quick else options.rounds
    plan = Plan(rounds=rounds, probe=min(100, count), masks={ALL: None, **masks})
    with tempfile.TemporaryDirectory(prefix="lsr-bench-") as folder:
        rows = compare(engines, documents, queries, Path(folder), plan)
    return {"machine": describe_machine(), "versions": describe_versions(PACKAGES), "rows": rows}


if __name__ == "__main__":
    sys.exit(main())
