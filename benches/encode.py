"""Speed, memory and vectors of this project's encoder beside sentence-transformers' SparseEncoder.

    python benches/encode.py --quick
    python benches/encode.py --json encode.json

benches/README.md tells what is compared and the traps.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from encode_bench.comparison import Comparison, compare, rows, say, tune
from encode_bench.effectiveness import Collection, effectiveness
from encode_bench.encoders import ENCODERS, NEEDS
from encode_bench.parts import COLUMNS as PART_COLUMNS
from encode_bench.parts import Anatomy, highest, in_units
from encode_bench.parts import rows as part_rows
from encode_bench.subjects import Place
from encode_bench.texts import KINDS, Texts, load_texts, scifact
from engine_bench.report import print_table, write_json
from machine import describe_machine, describe_versions
from packages import installed

from lsr.backbones.checkpoint import Checkpoint
from lsr.errors import LsrError, UsageError
from lsr.settings import check_length
from lsr.threads import available_cores

ROOT = Path(__file__).resolve().parent.parent
ASSETS = Path(os.environ.get("LSR_ASSETS", ROOT.parent / "shared"))
PACKAGES = ["numpy", "tokenizers", "torch", "transformers", "sentence-transformers"]
# The kind of texts beside which nDCG@10 stands.
JUDGED = "abstracts"
# No fewer than a batch of sentence-transformers has, which its memory follows.
QUICK_TEXTS = {"abstracts": 32, "passages": 32, "queries": 64}
QUICK_ROUNDS = 3
COLUMNS = {
    "encoder": "encoder",
    "engine": "engine",
    "settings": "settings",
    "texts": "texts",
    "docs_per_s": "docs/s",
    "spread": "IQR",
    "tokens_per_s": "tokens/s",
    "speedup": "speedup",
    "peak_rss_mb": "peak MB",
    "growth_mb": "growth MB",
    "memory_ratio": "of peer's",
    "max_abs_diff": "max diff",
    "only_here": "only here",
    "only_there": "only there",
    "largest_alone": "largest alone",
    "ndcg_at_10": "nDCG@10",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for wrong usage."""
    options = parse(arguments)
    try:
        report = run(options)
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    to_stderr = options.json == "-"
    print_table(report["rows"], COLUMNS, to_stderr)
    print_table(report["parts"], PART_COLUMNS, to_stderr)
    print_table([report["peaks"]], {name: name for name in report["peaks"]}, to_stderr)
    if options.json:
        write_json(options.json, report)
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ASSETS / "data", help="folder of datasets")
    parser.add_argument("--model", default=str(ASSETS / "models" / "splade-tiny"))
    parser.add_argument("--engines", default=",".join(ENCODERS), help="default: all")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of texts; default: all")
    parser.add_argument("--texts", type=int, default=512, help="of each kind, at most")
    parser.add_argument("--max-length", type=int, default=256, help="tokens of a text")
    parser.add_argument("--threads", type=int, default=2, help="that each encoder may use")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--ndcg",
        action=argparse.BooleanOptionalAction,
        help="encode all of SciFact and measure nDCG@10; default: unless --quick",
    )
    parser.add_argument("--quick", action="store_true", help="few texts, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The report: machine, versions, rows, and where the time of ours goes beside the peaks."""
    names = installed(options.engines.split(","), NEEDS)
    place = check_place(options)
    rounds = min(options.rounds, QUICK_ROUNDS) if options.quick else options.rounds
    if options.quick:
        # Tuning takes longer than that.
        names = [name for name in names if not ENCODERS[name].tuned]
    with tempfile.TemporaryDirectory(prefix="lsr-bench-") as temporary:
        folder = Path(temporary)
        compared = compare_all(names, every_kind(options, place), place, rounds, folder)
        table = [row for each in compared for row in rows(each, place)]
        if options.ndcg or (options.ndcg is None and not options.quick):
            add_ndcg(table, compared, options.data, place, folder)
    return {
        "machine": describe_machine(),
        "versions": describe_versions(PACKAGES),
        "rows": table,
        "parts": [
            row
            for each in compared
            for row in part_rows(each.texts.kind, len(each.texts.texts), each.turns)
        ],
        "peaks": in_units(highest([peaks for each in compared for _, peaks in each.turns])),
    }


def check_place(options: argparse.Namespace) -> Place:
    """The model and the threads; raises UsageError or NotFoundError where they can't be had."""
    for name, value in (("texts", options.texts), ("rounds", options.rounds)):
        if value < 1:
            raise UsageError(f"--{name} is {value}; give 1 or more")
    if not 1 <= options.threads <= available_cores():
        raise UsageError(
            f"--threads is {options.threads}; this process may use 1 to {available_cores()} cores"
        )
    check_length(options.max_length)
    checkpoint = Checkpoint.resolve(options.model)
    return Place(checkpoint, options.max_length, options.threads)


def every_kind(options: argparse.Namespace, place: Place) -> list[Texts]:
    """The texts of each kind that is asked for."""
    found = []
    for kind in options.kinds.split(","):
        count = options.texts
        if options.quick:
            count = min(count, QUICK_TEXTS.get(kind, count))
        found.append(load_texts(options.data, kind, count, place.checkpoint, place.max_length))
    return found


def compare_all(
    names: Sequence[str], kinds: Sequence[Texts], place: Place, rounds: int, folder: Path
) -> list[Comparison]:
    """One kind of texts after the other."""
    compared = []
    anatomy = place.child("the parts of lsr", folder / "parts.txt", Anatomy)
    try:
        for texts in kinds:
            settings = {
                name: tune(name, texts, place, folder) for name in names if ENCODERS[name].tuned
            }
            target = folder / texts.kind
            compared.append(compare(names, texts, settings, place, anatomy, rounds, target))
    finally:
        anatomy.close()
    return compared


def add_ndcg(
    table: Sequence[dict[str, Any]],
    compared: Sequence[Comparison],
    data: Path,
    place: Place,
    folder: Path,
) -> None:
    """nDCG@10 of each encoder, into its row of abstracts."""
    settings = {
        runner.name: runner.settings
        for each in compared
        if each.texts.kind == JUDGED
        for runner in each.runners
    }
    if not settings:
        say(f"nDCG@10 stands beside {JUDGED}, which were not asked for")
        return
    collection = Collection.read(scifact(data))
    values = {
        name: effectiveness(name, chosen, collection, place, folder)
        for name, chosen in settings.items()
    }
    for row in table:
        if row["texts"] == JUDGED:
            row["ndcg_at_10"] = round(values[row["engine"]], 4)


if __name__ == "__main__":
    sys.exit(main())
