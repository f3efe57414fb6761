"""Hybrid search: single fields, fusions of two and of three, and feedback, on test collections.

    python benches/hybrid.py --data ../shared/data --dense MODEL [--encoder LABEL=NAME]...
    python benches/hybrid.py --quick

``docs/search.md`` has a part of its table. Collections are kept in the cache of ``lsr eval``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine_bench.report import publish
from hybrid_bench.feedback import feedback_systems
from hybrid_bench.reranked import reranked_systems
from hybrid_bench.scores import MEASURES, Judged, Score, against_best_single, tuned
from hybrid_bench.systems import System, fused_systems, single_systems
from machine import describe_machine, describe_versions

from eval.datasets import Dataset, load_dataset
from eval.experiment import evaluate_dataset, experiment_folder
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.collection.passage_table import AUTO
from index.search.config import SearchConfig
from lsr.encoders.packaged import DEFAULT_ENCODER
from lsr.errors import LsrError

DATASETS = ("scifact", "cranfield", "med", "npl-vaswani", "nq-oracle")
PACKAGES = ["numpy", "torch", "transformers", "faiss-cpu", "ir-measures"]
COLUMNS = {
    "dataset": "dataset", "system": "system", **{name: name for name in MEASURES},
    "p": "p, Holm", "ms": "ms a query", "fusion": "tuned on the others",
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for a dataset or encoder that is not there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("datasets", nargs="*", default=DATASETS, help="folders of --data")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--dense", default="../shared/models/all-MiniLM-L6-v2")
    parser.add_argument("--encoder", action="append", metavar="LABEL=NAME")
    parser.add_argument("--reranker", metavar="MODEL", help="a cross-encoder to re-rank by too")
    parser.add_argument("--queries", type=int, default=1000, help="the first so many of a dataset")
    parser.add_argument("--only", default="", help="systems whose name has this")
    parser.add_argument("--quick", action="store_true", help="sparse and bm25 on the demo")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    given = options.encoder or [DEFAULT_ENCODER, "splade-tiny=../shared/models/splade-tiny"]
    if options.quick:
        given = [DEFAULT_ENCODER]
    sparse = {each.partition("=")[0]: each.partition("=")[2] or each for each in given}
    dense = None if options.quick else options.dense
    names = ["demo"] if options.quick else [str(options.data / name) for name in options.datasets]
    made = [single_systems, fused_systems]
    made += [] if options.quick else [feedback_systems]
    systems = [system for each in made for system in each(sparse, bool(dense))]
    if not options.quick:
        systems += reranked_systems(sparse, bool(dense), options.reranker)
    systems = [each for each in systems if options.only in each.name or not each.method]
    try:
        with ExitStack() as stack:
            judged = [
                _judged(load_dataset(name), options.queries, sparse, dense, stack) for name in names
            ]
            rows = [row for each in judged for row in _rows(each, judged, systems)]
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    rows = [*rows, *_means(rows)] if len(names) > 1 else rows
    machine, versions = describe_machine(), describe_versions(PACKAGES)
    publish({"machine": machine, "versions": versions, "rows": rows}, COLUMNS, options.json)
    return 0


def _first(dataset: Dataset, queries: int) -> Dataset:
    """A dataset with its first queries alone."""
    kept = list(islice(dataset.queries, queries))
    return replace(dataset, queries=kept, qrels={each.id: dataset.qrels[each.id] for each in kept})


def _judged(
    dataset: Dataset, queries: int, sparse: Mapping[str, str], dense: str | None, stack: ExitStack
) -> Judged:
    """Its first queries, and the collections of a dataset, made where they are not there yet."""
    collections = {}
    for name in sparse.values():
        folder = experiment_folder(dataset, encoder_fields(name, dense, True), AUTO)
        evaluate_dataset(
            _first(dataset, 1), name, dense, True, index=folder,
            searching=SearchConfig(using="bm25"), measures=MEASURES[:1],
        )  # fmt: skip
        collections[name] = stack.enter_context(closing(Collection.open(folder)))
    return Judged(_first(dataset, queries), collections)


def _rows(
    judged: Judged, everywhere: Sequence[Judged], systems: Sequence[System]
) -> list[dict[str, Any]]:
    """A row for each system, with its test against the best single one."""
    others = [each for each in everywhere if each is not judged]
    scores: dict[str, Score] = {}
    for system in systems:
        if system.tuned and not others:
            continue
        scores[system.name] = judged.score(system, tuned(system, others) if system.tuned else None)
        print(f"{judged.dataset.name}: {system.name}", file=sys.stderr)
    singles = [each.name for each in systems if not each.method]
    p_values = against_best_single(scores, singles)
    return [
        {
            "dataset": judged.dataset.name,
            "system": name,
            **{each: round(100 * score.measures[each], 1) for each in MEASURES},
            "p": p_values.get(name),
            "ms": round(score.ms, 1),
            "fusion": None if score.fusion is None else str(score.fusion.describe()),
        }
        for name, score in scores.items()
    ]


def _means(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The means of each system over the datasets."""
    found = []
    for system in dict.fromkeys(row["system"] for row in rows):
        ours = [row for row in rows if row["system"] == system]
        means = {name: round(sum(r[name] for r in ours) / len(ours), 1) for name in MEASURES}
        ms = round(sum(row["ms"] for row in ours) / len(ours), 1)
        found.append(
            {"dataset": "mean", "system": system, **means, "p": None, "ms": ms, "fusion": None}
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
