"""Tail latency against shards and replicas: measured searches, simulated clusters, a plan.

    python benches/shards.py --quick
    python benches/shards.py --json shards.json

What a search over a shard takes is measured here, of every query over every shard. What becomes of
it in a cluster is simulated: see the assumptions of ``shards_bench/simulation.py``. The last table
says what collections of 10 million to a billion passages take; what is beyond the sizes measured
is marked.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine import DATA, PACKAGES, size_of
from engine_bench.report import print_table, write_json
from engine_bench.vectors import QUERIES, load_documents, load_queries, resize
from machine import describe_machine, describe_versions
from shards_bench.measuring import Growth, Measured, measure
from shards_bench.plan import Prices, Sizing, plan
from shards_bench.simulation import Cluster, simulate

from lsr.errors import LsrError

SHARDS = (1, 2, 4, 8, 16)
SIZES = (10_000_000, 100_000_000, 1_000_000_000)
# Of a core's time, in the first table.
BUSY = 0.4
# Measured of a collection of the bench's vectors and 469 bytes of text each: benches/size.py.
DISK_BYTES = 855.0
QUICK_DOCUMENTS, QUICK_QUERIES, QUICK_SHARDS = 30_000, 100, (1, 2, 4, 8)
PRICES = {
    "core_hour": "--core-hour",
    "memory_gib_hour": "--memory-gib-hour",
    "disk_gib_month": "--disk-gib-month",
    "objects_gib_month": "--objects-gib-month",
}
MEASURED = {
    "shards": "shards",
    "documents": "documents each",
    "mean_ms": "mean ms",
    "p99_ms": "p99 ms",
    "slowest_ms": "slowest shard, mean ms",
    "slowest_p99_ms": "p99 ms",
    "bytes_a_document": "bytes a document",
}
SIMULATED = {
    "shards": "shards",
    "replicas": "replicas",
    "hedged_after": "hedged after",
    "stragglers": "stragglers",
    "queries_per_s": "queries/s",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "p99_ms": "p99 ms",
    "p999_ms": "p99.9 ms",
    "busy": "busy",
    "sent_twice": "sent twice",
}
PLANNED = {
    "passages": "passages",
    "queries_per_s": "queries/s",
    "shards": "shards",
    "rank_ms": "ms to rank a shard",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "p99_hedged_ms": "p99 hedged",
    "memory_gib": "index, GiB",
    "disk_gib": "collection, GiB",
    "cores": "cores",
    "dollars_month": "$ a month",
    "encoding_core_hours": "encoding, core hours",
    "dollars_encoding": "$",
    "extrapolated": "",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of vectors and queries")
    parser.add_argument("--kind", choices=list(QUERIES), default="splade", help="of queries")
    parser.add_argument("--queries", type=int, default=300, help="that are measured; at most 1000")
    parser.add_argument(
        "--larger", default="1M", help="a size made from the documents, for growth; 0: none"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--simulated", type=int, default=20_000, help="queries of a simulation")
    parser.add_argument("--rate", type=float, default=100.0, help="queries/s of the plan")
    for name, option in PRICES.items():
        default = getattr(Prices(), name)
        parser.add_argument(option, type=float, default=default, help="dollars", dest=name)
    parser.add_argument("--machine-gib", type=float, default=64.0, help="memory of a machine")
    parser.add_argument(
        "--engine-factor", type=float, default=1.0, help="time of the shards' engine, ours being 1"
    )
    parser.add_argument("--quick", action="store_true", help="30k documents, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    try:
        report = run(options)
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    for kind, columns in (("measured", MEASURED), ("simulated", SIMULATED), ("plan", PLANNED)):
        rows = [row for row in report["rows"] if row["table"] == kind]
        print_table(rows, columns, to_stderr=options.json == "-")
    if options.json:
        write_json(options.json, report)
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The report: machine, versions, rows of three tables."""
    documents = load_documents(options.data)
    count, shards, simulated = options.queries, SHARDS, options.simulated
    if options.quick:
        documents, shards = resize(documents, QUICK_DOCUMENTS), QUICK_SHARDS
        count, simulated = min(count, QUICK_QUERIES), min(simulated, 4000)
    queries = load_queries(options.data, options.kind, count)
    measured = measure(documents, queries, shards, options.rounds)
    larger = 0 if options.quick or options.larger == "0" else size_of(options.larger)
    grown = measure(resize(documents, larger), queries, (1,), options.rounds) if larger else []
    growth = Growth.of([*measured, *grown])
    rows = [_measured(each) for each in [*measured, *grown]]
    for each in measured:
        rows += _simulated(each, simulated)
    rows += _planned(options, [*measured, *grown], growth)
    return {
        "machine": describe_machine(),
        "versions": describe_versions(PACKAGES),
        "growth": asdict(growth),
        "rows": rows,
    }


def _measured(each: Measured) -> dict[str, Any]:
    import numpy as np

    slowest = each.ms.max(axis=0)
    return {
        "table": "measured",
        "shards": len(each.ms),
        "documents": round(each.documents),
        "mean_ms": round(each.mean_ms, 3),
        "p99_ms": round(float(np.percentile(each.ms, 99)), 3),
        "slowest_ms": round(float(slowest.mean()), 3),
        "slowest_p99_ms": round(float(np.percentile(slowest, 99)), 3),
        "bytes_a_document": round(each.bytes / (each.documents * len(each.ms)), 1),
    }


def _simulated(each: Measured, queries: int) -> list[dict[str, Any]]:
    """At the rate that keeps two replicas of each shard busy for a part of their time."""
    rows, shards = [], len(each.ms)
    one = Cluster(shards, 1)
    # What a call takes on average, stragglers included.
    mean = each.mean_ms * (1 + one.stragglers * (one.slowness - 1))
    rate = 2 * BUSY * 1000 / mean
    calm = simulate(replace(one, replicas=2, stragglers=0.0), each.ms, rate, queries)
    late = calm.percentile(95)
    for cluster in (
        replace(one, replicas=2, stragglers=0.0),
        replace(one, replicas=2),
        replace(one, replicas=2, hedge_ms=late),
        replace(one, replicas=3),
        replace(one, replicas=3, hedge_ms=late),
    ):
        found = simulate(cluster, each.ms, rate, queries)
        rows.append(
            {
                "table": "simulated",
                "shards": shards,
                "replicas": cluster.replicas,
                "hedged_after": None if cluster.hedge_ms is None else f"{cluster.hedge_ms:.2f} ms",
                "stragglers": cluster.stragglers,
                "queries_per_s": round(rate),
                **{
                    f"p{str(q).replace('.', '')}_ms": round(found.percentile(q), 2)
                    for q in (50, 95, 99, 99.9)
                },
                "busy": round(found.busy, 2),
                "sent_twice": round(found.hedged, 3),
            }
        )
    return rows


def _planned(
    options: argparse.Namespace, measured: Sequence[Measured], growth: Growth
) -> list[dict[str, Any]]:
    prices = Prices(**{name: getattr(options, name) for name in PRICES})
    whole = measured[0]
    sizing = Sizing(
        index_bytes=whole.bytes / whole.documents,
        disk_bytes=DISK_BYTES,
        machine_gib=options.machine_gib,
        engine_factor=options.engine_factor,
    )
    rows = []
    for size in (round(whole.documents), *SIZES):
        row = plan(size, options.rate, growth, sizing, prices)
        beyond = size > max(each.documents for each in measured)
        row |= _tail(row, measured, options)
        rows.append({"table": "plan", **row, "extrapolated": "extrapolated" if beyond else None})
    return rows


def _tail(
    row: dict[str, Any], measured: Sequence[Measured], options: argparse.Namespace
) -> dict[str, Any]:
    """Of a row of the plan, at its rate: what was measured over the most shards, made as slow."""
    most = max(measured, key=lambda each: len(each.ms))
    ms = most.ms * (row["rank_ms"] / most.mean_ms)
    cluster = Cluster(row["shards"], replicas=2, cores=2)
    queries = min(options.simulated, 4000)
    calm = simulate(replace(cluster, stragglers=0.0), ms, options.rate, queries)
    plain = simulate(cluster, ms, options.rate, queries)
    late = replace(cluster, hedge_ms=calm.percentile(95))
    hedged = simulate(late, ms, options.rate, queries)
    return {
        "p50_ms": round(plain.percentile(50), 1),
        "p99_ms": round(plain.percentile(99), 1),
        "p99_hedged_ms": round(hedged.percentile(99), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
