"""The training recipe, ingredient by ingredient: the tables of docs/training.md.

    python benches/recipe.py --quick
    python benches/recipe.py --jobs 2 --write docs/training.md
    python benches/recipe.py --results recipe.jsonl --write docs/training.md

The first trains and scores everything in little. The second does so in whole, two trainings at a
time, and writes the tables; the third, without ``--jobs``, writes what a file of results has and
trains nothing. Run the same command again after an interruption: what is in the file is not done
again. benches/README.md tells what is compared.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine_bench.report import print_table, write_json
from recipe_bench.ingredients import BATCH, COLLECTIONS, LIMITS, Budget
from recipe_bench.jobs import Job, Places, run_jobs
from recipe_bench.results import Results
from recipe_bench.rows import jobs
from recipe_bench.section import marks, replace_section, section
from recipe_bench.tables import Tables, collected

from eval.kept_indexes import cache_folder
from lsr.encoders.packaged import WITHOUT_DENSE_TERMS
from lsr.errors import LsrError, UsageError

ROOT = Path(__file__).resolve().parent.parent
ASSETS = Path(os.environ.get("LSR_ASSETS", ROOT.parent / "shared"))
PLOTS = "plots"
QUICK = {"steps": 2, "pairs": 30, "batch": 8, "queries": 4}
QUICK_SOURCES, QUICK_COLLECTIONS = ("medical-web-qa",), ("med", "cranfield")
# Of --quick: so many of the trainings, beside what nothing is trained for.
QUICK_JOBS = 3
COLUMNS = {
    "row": "row",
    "seeds": "seeds",
    "collection": "collection",
    "ndcg_at_10": "nDCG@10",
    "recall_at_100": "Recall@100",
    "nnz": "non-zeros",
    "flops": "FLOPS",
    "microseconds": "µs a query",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for wrong usage."""
    options = parse(arguments)
    budget = budget_of(options)
    return run(
        options,
        jobs(budget, options.shipped),
        lambda tables: section(options.command, budget, tables, PLOTS),
    )


def run(
    options: argparse.Namespace,
    every: list[Job],
    section_of: Callable[[Tables], tuple[str, dict[str, bytes]]],
) -> int:
    """Train and score what is asked for, or write the section of what was; the exit status."""
    with ExitStack() as stack:
        if options.work is None:
            # The trainings of --quick are worth nothing.
            new = stack.enter_context(TemporaryDirectory()) if options.quick else None
            options.work = Path(new) if new else cache_folder() / options.program
        options.results = options.results or options.work / "results.jsonl"
        return _run(options, every, section_of)


def _run(
    options: argparse.Namespace,
    every: list[Job],
    section_of: Callable[[Tables], tuple[str, dict[str, bytes]]],
) -> int:
    try:
        places, wanted = places_of(options), chosen(options, every)
        results = Results(options.results)
        if options.jobs or not options.write:
            run_jobs(wanted, places, results, options.jobs or 1, options.minutes)
        tables = collected(wanted, places, results)
        if options.write:
            write(options, tables, section_of)
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    rows = list(tables.rows())
    print_table(rows, COLUMNS, options.json == "-")
    if options.json:
        report = {"machine": tables.machines, "versions": tables.versions}
        write_json(options.json, report | {"command": options.command, "rows": rows})
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = parser_of(__doc__)
    parser.add_argument(
        "--shipped", default=WITHOUT_DENSE_TERMS, help="the encoder of the last row"
    )
    return options_of(parser, arguments, "recipe")


def parser_of(documentation: str) -> argparse.ArgumentParser:
    """The options that every bench of trainings has."""
    parser = argparse.ArgumentParser(description=documentation.split("\n")[0])
    parser.add_argument("--assets", type=Path, default=ASSETS, help="folder of data and models")
    parser.add_argument("--work", type=Path, help="folder of the trainings; default: in the cache")
    parser.add_argument("--cache", type=Path, help="folder of teachers' vectors; default: in it")
    parser.add_argument("--results", type=Path, metavar="FILE", help="default: in --work")
    parser.add_argument(
        "--jobs", type=int, help="trainings at a time; default: 1, or none with --write"
    )
    parser.add_argument("--minutes", type=float, default=0, help="after these none is begun")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name has it")
    parser.add_argument("--most", type=int, default=0, help="trainings, the most important first")
    parser.add_argument("--steps", type=int, default=1000, help="of every training")
    parser.add_argument("--batch", type=int, default=BATCH, help="queries of a step")
    parser.add_argument("--pairs", type=int, default=0, help="of each file, at most")
    parser.add_argument("--queries", type=int, default=0, help="of each collection, at most")
    parser.add_argument("--collections", default=",".join(COLLECTIONS))
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the section into it")
    parser.add_argument("--quick", action="store_true", help="tiny trainings, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    return parser


def options_of(
    parser: argparse.ArgumentParser, arguments: list[str] | None, program: str
) -> argparse.Namespace:
    """The options of a bench of that name, with what follows from them."""
    options = parser.parse_args(arguments)
    options.sources = tuple(LIMITS)
    if options.quick:
        vars(options).update(QUICK)
        options.sources = QUICK_SOURCES
        options.collections = ",".join(QUICK_COLLECTIONS)
        options.most = options.most or QUICK_JOBS
    options.program = program
    options.command = shlex.join(["python", f"benches/{program}.py", *_shown(arguments)])
    return options


def _shown(arguments: list[str] | None) -> list[str]:
    """The arguments that change a number; not where things are on this machine."""
    places = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("--assets", "--work", "--cache", "--json", "--jobs", "--minutes"):
        places.add_argument(option)
    return places.parse_known_args(arguments)[1]


def budget_of(options: argparse.Namespace) -> Budget:
    """What all trainings share."""
    assets = options.assets.resolve()
    return Budget(assets, options.steps, options.batch, options.pairs, options.sources)


def places_of(options: argparse.Namespace) -> Places:
    """Where things are."""
    names = tuple(options.collections.split(","))
    if unknown := {*names} - {*COLLECTIONS}:
        raise UsageError(
            f"there is no collection {min(unknown)!r}; allowed are {', '.join(COLLECTIONS)}"
        )
    if options.jobs is not None and options.jobs < 1:
        raise UsageError(f"--jobs is {options.jobs}; allowed is 1 or more")
    cache = options.cache or options.work / "teachers"
    return Places(options.assets.resolve(), options.work, cache, names, options.queries)


def chosen(options: argparse.Namespace, every: list[Job]) -> list[Job]:
    """Those of the rows, and as many trainings, as are asked for."""
    named = [job for job in every if any(options.only in row for row in job.encoders)]
    trained = [job for job in named if job.seed]
    kept = trained[: options.most] if options.most else trained
    return [*(job for job in named if not job.seed), *kept]


def write(
    options: argparse.Namespace,
    tables: Tables,
    section_of: Callable[[Tables], tuple[str, dict[str, bytes]]],
) -> None:
    """Put the section, and the plots that it shows, where the docs are."""
    if not tables.scores:
        raise UsageError(f"{options.results} has no results of these rows; run the bench first")
    text, figures = section_of(tables)
    replace_section(options.write, text, *marks(options.program))
    for name, picture in figures.items():
        path = options.write.parent / PLOTS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)


if __name__ == "__main__":
    sys.exit(main())
