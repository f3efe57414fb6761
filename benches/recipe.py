"""The training recipe, one ingredient at a time: the tables of docs/training.md.

    python benches/recipe.py --quick
    python benches/recipe.py --write docs/training.md

Every row is trained in a folder of its own. Run the same command again after an interruption:
finished rows are not trained again, and the one that was interrupted is gone on with.
benches/README.md tells what is compared.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine_bench.report import print_table, write_json
from machine import describe_machine, describe_versions
from recipe_bench.ingredients import COLLECTIONS, EXPORT_LENGTH, LIMITS, TARGETED, Budget
from recipe_bench.scores import DENSE, Scorer, load_collections
from recipe_bench.section import (
    Scores,
    compare,
    markdown,
    replace_section,
    score_tables,
    test_table,
)
from recipe_bench.targets import Reached, reach
from recipe_bench.trainings import Workshop, say, seconds

from eval.kept_indexes import cache_folder
from eval.significance import PairedTest
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.packaged import DEFAULT_ENCODER
from lsr.errors import LsrError, NotFoundError, UsageError
from lsr.train.trainer import STUDENT

ROOT = Path(__file__).resolve().parent.parent
ASSETS = Path(os.environ.get("LSR_ASSETS", ROOT.parent / "shared"))
PACKAGES = ["lsr", "numpy", "tokenizers", "torch", "transformers", "scipy", "ir-measures"]
BM25, BOTH, FREE = "BM25", "splade-tiny, both sides", "splade-tiny, IDF of the pairs, untrained"
INFORMED = "+ IDF of the collection too"
FREE_COLLECTION = "splade-tiny, IDF of the collection, untrained"
SHIPPED = "shipped model"
QUICK = {"steps": 2, "pairs": 30, "batch": 8, "queries": 4}
QUICK_SOURCES, QUICK_COLLECTIONS = ("medical-web-qa",), ("med", "cranfield")
COLUMNS = {
    "row": "row",
    "collection": "collection",
    "ndcg_at_10": "nDCG@10",
    "recall_at_100": "Recall@100",
    "nnz": "non-zeros",
    "flops": "FLOPS",
}
TARGET_COLUMNS = {
    "steps": "steps",
    "target": "target",
    "last_steps": "last 10 % of steps",
    "held_out": "held-out documents",
    "exported": f"at {EXPORT_LENGTH} tokens",
    "deviation": "deviation, %",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for wrong usage."""
    options = parse(arguments)
    try:
        report, section = run(options)
        if options.write:
            replace_section(options.write, section)
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    to_stderr = options.json == "-"
    print_table(report["rows"], COLUMNS, to_stderr)
    if report["targets"]:
        print_table(report["targets"], TARGET_COLUMNS, to_stderr)
    if options.json:
        write_json(options.json, report)
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--assets", type=Path, default=ASSETS, help="folder of data and models")
    parser.add_argument("--work", type=Path, help="folder of the trainings; default: in the cache")
    parser.add_argument("--cache", type=Path, help="folder of teachers' vectors; default: in it")
    parser.add_argument("--steps", type=int, default=600, help="of every training")
    parser.add_argument("--seed", type=int, default=1, help="of samples and order")
    parser.add_argument("--batch", type=int, default=32, help="queries of a step")
    parser.add_argument("--pairs", type=int, default=0, help="of each file, at most")
    parser.add_argument("--queries", type=int, default=0, help="of each collection, at most")
    parser.add_argument("--collections", default=",".join(COLLECTIONS))
    parser.add_argument("--shipped", default=DEFAULT_ENCODER, help="the encoder of the last row")
    parser.add_argument(
        "--target-nnz", type=float, nargs="*", default=[], help=f"train {TARGETED!r} to each"
    )
    parser.add_argument(
        "--target-steps", type=int, nargs="+", help="of these trainings; default: --steps"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the section into it")
    parser.add_argument("--quick", action="store_true", help="tiny trainings, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    options.sources = tuple(LIMITS)
    if options.quick:
        vars(options).update(QUICK)
        options.sources = QUICK_SOURCES
        options.collections = ",".join(QUICK_COLLECTIONS)
    options.command = shlex.join(["python", "benches/recipe.py", *_shown(arguments)])
    return options


def _shown(arguments: list[str] | None) -> list[str]:
    """The arguments that change a number; not where things are on this machine."""
    places = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("--assets", "--work", "--cache", "--json"):
        places.add_argument(option)
    return places.parse_known_args(arguments)[1]


def run(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The report, and the section of the docs."""
    unknown = {*options.collections.split(",")} - {*COLLECTIONS}
    if unknown:
        raise UsageError(
            f"there is no collection {min(unknown)!r}; allowed are {', '.join(COLLECTIONS)}"
        )
    work = options.work or cache_folder() / "recipe"
    budget = Budget(
        options.assets.resolve(),
        options.steps,
        options.seed,
        options.batch,
        options.pairs,
        options.sources,
    )
    workshop = Workshop(work, options.cache or work / "teachers")
    names = options.collections.split(",")
    collections = load_collections(budget.assets / "data", names, options.queries)
    shipped = _there(options.shipped)
    scorer = Scorer(collections, work / "scores")
    scores: dict[str, Any] = {}
    for row, name in baselines(budget, workshop).items():
        scores[row] = _scored(scorer, row, name)
    trained = {}
    for row, config in budget.configs().items():
        trained[row] = workshop.train(row, config)
        scores[row] = _scored(scorer, row, str(trained[row] / STUDENT))
    last = str(trained[list(trained)[-1]] / STUDENT)
    scores[INFORMED] = _scored(scorer, INFORMED, f"inference-free:{last},idf=both")
    if shipped:
        scores[SHIPPED] = _scored(scorer, SHIPPED, options.shipped)
    tests = compare(scores, _compared([*trained, INFORMED], SHIPPED if shipped else None))
    reached = [
        reach(workshop, replace(budget, steps=steps), target)
        for steps in options.target_steps or [options.steps]
        for target in options.target_nnz
    ]
    report = {
        "machine": describe_machine(),
        "versions": describe_versions(PACKAGES),
        "command": options.command,
        "rows": [
            {"row": row, "collection": name} | _numbers(score)
            for row, by_collection in scores.items()
            for name, score in by_collection.items()
        ],
        "tests": [
            {"first": first, "second": second, "collection": name} | asdict(test)
            for (first, second), by_name in tests.items()
            for name, test in by_name.items()
        ],
        "targets": [one.row() for one in reached],
        "minutes": {row: round(seconds(output) / 60, 1) for row, output in trained.items()},
    }
    return report, section(options, report, scores, tests, reached)


def baselines(budget: Budget, workshop: Workshop) -> dict[str, str]:
    """Row to the name of an encoder that nothing was trained for."""
    length = f"max_length={EXPORT_LENGTH}"
    return {
        BM25: "bm25",
        BOTH: f"splade:{budget.student},{length}",
        FREE: str(workshop.untrained(budget.untrained())),
        FREE_COLLECTION: f"inference-free:{budget.student},{length},idf=collection",
        "MiniLM, dense": f"{DENSE}{budget.dense},dtype=bfloat16",
    }


def section(
    options: argparse.Namespace,
    report: Mapping[str, Any],
    scores: Scores,
    tests: Mapping[tuple[str, str], Mapping[str, PairedTest]],
    reached: list[Reached],
) -> str:
    """The text of the docs."""
    machine, versions = report["machine"], report["versions"]
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    parts = [
        f"Written by `{options.command}` on {datetime.now(tz=UTC):%Y-%m-%d}, on "
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        f"{packages}.",
        f"Every trained row had {options.steps} steps of {options.batch} queries, with seed "
        f"{options.seed}, and took {_minutes(report['minutes'])}.",
        score_tables(scores),
        "Differences in nDCG@10 x 100, with p of a two-sided paired t-test over the queries, "
        "by Holm over the collections; bold where p < 0.05.",
        test_table(tests),
    ]
    if reached:
        rows = [[str(row[key]) for key in TARGET_COLUMNS] for row in report["targets"]]
        parts += [
            f'The row "{TARGETED}" trained to numbers of non-zeros (mean of a document; the '
            "deviation is that of the last steps):",
            markdown(list(TARGET_COLUMNS.values()), rows),
        ]
    return "\n\n".join(parts)


def _minutes(minutes: Mapping[str, float]) -> str:
    least, most = min(minutes.values()), max(minutes.values())
    return f"{least:g} to {most:g} minutes" if least < most else f"{most:g} minutes"


def _compared(trained: list[str], shipped: str | None) -> list[tuple[str, str]]:
    """Each row of the recipe against the one before, and the shipped model against its rivals."""
    pairs = list(zip(trained[1:], trained[:-1], strict=True))
    if shipped:
        pairs += [(shipped, rival) for rival in (BM25, FREE, FREE_COLLECTION, BOTH)]
    return pairs


def _there(name: str) -> bool:
    """Whether the encoder of the last row is there yet; says so where it is not."""
    try:
        load_encoder(name)
    except NotFoundError as error:
        say(f"the row of the {SHIPPED} is left out: {error}")
        return False
    return True


def _scored(scorer: Scorer, row: str, name: str) -> Any:
    say(f"{row}: scoring")
    return scorer(name)


def _numbers(score: Any) -> dict[str, Any]:
    numbers = {name: value for name, value in asdict(score).items() if name != "per_query"}
    return {name: value and round(value, 4) for name, value in numbers.items()}


if __name__ == "__main__":
    sys.exit(main())
