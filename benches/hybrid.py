"""Hybrid search: single fields, fusions of two and of three, feedback, SPAR, re-ranking.

    python benches/hybrid.py --resume FILE --write docs/hybrid.md
    python benches/hybrid.py --quick

It can be interrupted and run again: ``--resume`` names a file of what was measured. Collections are
kept in the cache of ``lsr eval``. A tuned fusion is the one that does best on the other datasets.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine_bench.report import publish
from hybrid_bench.feedback import feedback_systems
from hybrid_bench.indexed import Encoders, opened
from hybrid_bench.reranked import reranked_systems
from hybrid_bench.results import Results
from hybrid_bench.scores import MEASURES, Judged, Score, UnmeasuredError, against_best_single, tuned
from hybrid_bench.section import BEGIN, END, section, single_names
from hybrid_bench.systems import System, fused_systems, single_systems, spar_systems
from machine import describe_machine, describe_versions
from recipe_bench.section import replace_section

from eval.datasets import Dataset, load_dataset
from lsr.corpus.items import Item
from lsr.encoders.packaged import WITHOUT_DENSE_TERMS
from lsr.errors import LsrError

DATASETS = ("med", "cranfield", "npl-vaswani", "scifact", "nq-oracle")
# Of --quick: queries, and one of how many documents beside those judged.
QUICK_QUERIES, QUICK_SHARE = 40, 12
PACKAGES = ["numpy", "torch", "transformers", "faiss-cpu", "ir-measures"]
COLUMNS = {
    "dataset": "dataset", "system": "system", **{name: name for name in MEASURES},
    "p": "p, Holm", "fusion": "tuned on the others",
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for a dataset or encoder that is not there."""
    options = _parse(arguments)
    encoders = Encoders(
        {each.partition("=")[0]: each.partition("=")[2] or each for each in options.encoder},
        options.dense,
        options.spar,
    )
    systems = [each for each in _systems(options, encoders) if options.only in each.name]
    try:
        with ExitStack() as stack:
            results = Results(options.resume)
            datasets = [load_dataset(name) for name in options.datasets]
            if options.quick:
                datasets = [_small(each) for each in datasets]
            judged = [_judged(each, options.queries, encoders, results, stack) for each in datasets]
            found = {each.dataset.name: _scores(each, judged, systems) for each in judged}
            scores = {name: of_each for name, of_each in found.items() if of_each}
        if options.write:
            replace_section(options.write, section(scores, systems), BEGIN, END)
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    rows = [row for name, found in scores.items() for row in _rows(name, found, systems)]
    rows = [*rows, *_means(rows)] if len(scores) > 1 else rows
    machine, versions = describe_machine(), describe_versions(PACKAGES)
    publish({"machine": machine, "versions": versions, "rows": rows}, COLUMNS, options.json)
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("datasets", nargs="*", default=DATASETS, help="folders of --data")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--dense", default="../shared/models/all-MiniLM-L6-v2")
    parser.add_argument(
        "--encoder",
        action="append",
        metavar="LABEL=NAME",
        help="of a sparse field; the first is the one that is re-ranked",
    )
    parser.add_argument("--spar", metavar="MODEL", help="a Lambda, as lsr train makes it")
    parser.add_argument("--reranker", metavar="MODEL", help="a cross-encoder to re-rank by too")
    parser.add_argument("--queries", type=int, default=300, help="the first so many of a dataset")
    parser.add_argument("--only", default="", help="systems whose name has this")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="of what was measured before")
    parser.add_argument("--known", action="store_true", help="what --resume has, and no more")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables into it")
    parser.add_argument("--quick", action="store_true", help="sparse and bm25 on the demo")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    if options.write and (options.only or options.quick):
        parser.error("--write takes the tables of all systems; leave out --only and --quick")
    options.encoder = options.encoder or [
        WITHOUT_DENSE_TERMS,
        "splade-tiny=../shared/models/splade-tiny",
    ]
    options.datasets = [str(options.data / name) for name in options.datasets]
    if options.quick:
        options.encoder, options.dense, options.spar = [WITHOUT_DENSE_TERMS], None, None
        options.datasets = ["demo"]
    return options


def _systems(options: argparse.Namespace, encoders: Encoders) -> list[System]:
    fields = encoders.fields
    found = [*single_systems(fields), *fused_systems(fields), *feedback_systems(fields)]
    found += spar_systems() if encoders.dense and encoders.spar else []
    return [*found, *reranked_systems(fields, options.reranker)]


def _judged(
    dataset: Dataset, queries: int, encoders: Encoders, results: Results, stack: ExitStack
) -> Judged:
    """Its first queries, and its collection, which is made where it is not there yet."""
    print(f"{dataset.name}: documents", file=sys.stderr, flush=True)
    collection = stack.enter_context(closing(opened(dataset, encoders)))
    return Judged(_first(dataset, queries), collection, results)


def _first(dataset: Dataset, queries: int) -> Dataset:
    """A dataset with its first queries alone."""
    kept = list(islice(dataset.queries, queries))
    return replace(dataset, queries=kept, qrels={each.id: dataset.qrels[each.id] for each in kept})


def _small(dataset: Dataset) -> Dataset:
    """Few queries, with their documents and some others."""
    asked = _first(dataset, QUICK_QUERIES)
    judged = {document for grades in asked.qrels.values() for document in grades}

    def corpus() -> Iterator[Item]:
        for place, item in enumerate(dataset.corpus()):
            document = item.document
            if place % QUICK_SHARE == 0 or (document and document.id in judged):
                yield item

    return replace(asked, corpus=corpus)


def _scores(
    judged: Judged, everywhere: Sequence[Judged], systems: Sequence[System]
) -> dict[str, Score]:
    """Of each system; of a tuned one where there are others to tune on."""
    others = [each for each in everywhere if each is not judged]
    scores: dict[str, Score] = {}
    for system in systems:
        if system.tuned and not others:
            continue
        try:
            fusion = tuned(system, others) if system.tuned else None
            scores[system.name] = judged.score(system, fusion)
        except UnmeasuredError:
            continue
        print(f"{judged.dataset.name}: {system.name}", file=sys.stderr, flush=True)
    return scores


def _rows(
    dataset: str, scores: Mapping[str, Score], systems: Sequence[System]
) -> list[dict[str, Any]]:
    """A row for each system, with its test against the best single one."""
    singles = [name for name in single_names(systems) if name in scores]
    tests = against_best_single(scores, singles) if singles else {}
    return [
        {
            "dataset": dataset,
            "system": name,
            **{each: round(100 * score.measures[each], 1) for each in MEASURES},
            "p": float(f"{tests[name].p:.2g}") if name in tests else None,
            "fusion": score.fusion,
        }
        for name, score in scores.items()
    ]


def _means(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The means of each system over the datasets."""
    found = []
    for system in dict.fromkeys(row["system"] for row in rows):
        ours = [row for row in rows if row["system"] == system]
        means = {name: round(sum(r[name] for r in ours) / len(ours), 1) for name in MEASURES}
        found.append({"dataset": "mean", "system": system, **means, "p": None, "fusion": None})
    return found


if __name__ == "__main__":
    sys.exit(main())
