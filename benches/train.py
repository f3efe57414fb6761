"""Speed, memory and losses of this project's trainer beside sentence-transformers'.

    python benches/train.py --quick
    python benches/train.py --json train.json

benches/README.md tells what is compared and the traps.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from encode_bench.parts import highest, in_units
from encode_bench.subjects import Place
from engine_bench.report import print_table, write_json
from machine import describe_machine, describe_versions
from packages import installed
from train_bench.anatomy import COLUMNS as PART_COLUMNS
from train_bench.anatomy import Anatomy
from train_bench.anatomy import rows as part_rows
from train_bench.subjects import Ours, Theirs
from train_bench.task import MODEL, TABLE, Task, load_pairs

from lsr.backbones.checkpoint import Checkpoint
from lsr.errors import LsrError, UsageError
from lsr.threads import available_cores

ROOT = Path(__file__).resolve().parent.parent
ASSETS = Path(os.environ.get("LSR_ASSETS", ROOT.parent / "shared"))
PACKAGES = ["numpy", "tokenizers", "torch", "transformers", "sentence-transformers", "accelerate"]
OURS, THEIRS = "lsr", "sentence-transformers"
NEEDS = {OURS: (), THEIRS: ("sentence_transformers", "datasets", "accelerate")}
FILES, QUICK_FILES = ("medquad", "arxiv-title-abstract"), ("medquad",)
DROPOUTS = (0.0, 0.1)
# Of the first step's losses.
TOLERANCE = 1e-3
COLUMNS = {
    "trainer": "trainer",
    "model": "model",
    "queries": "queries",
    "dropout": "dropout",
    "batch": "batch",
    "steps_per_s": "steps/s",
    "spread": "IQR",
    "docs_per_s": "docs/s",
    "ratio": "of peer's",
    "peak_rss_mb": "peak MB",
    "growth_mb": "growth MB",
    "memory_ratio": "of peer's",
    "first_loss": "first loss",
    "last_loss": "last loss",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for wrong usage, 1 where first losses differ."""
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
    print(report["first_losses"], file=sys.stderr)
    if options.json:
        write_json(options.json, report)
    return 0 if report["largest_difference"] <= TOLERANCE else 1


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ASSETS / "train", help="folder of pairs")
    parser.add_argument("--model", default=str(ASSETS / "models" / "splade-tiny"))
    parser.add_argument("--trainers", default=",".join(NEEDS), help="default: all")
    parser.add_argument(
        "--queries", nargs="+", choices=(TABLE, MODEL), default=[TABLE, MODEL], help="go through it"
    )
    parser.add_argument("--dropout", type=float, nargs="+", default=list(DROPOUTS))
    parser.add_argument("--batch", type=int, default=32, help="queries, and documents, of a step")
    parser.add_argument("--max-length", type=int, default=128, help="tokens of a text")
    parser.add_argument("--threads", type=int, default=2, help="that each trainer may use")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=6, help="of a round")
    parser.add_argument("--quick", action="store_true", help="few steps, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.steps, options.queries = 3, 1, [TABLE]
    for name in ("batch", "rounds", "steps"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}; give 1 or more")
    return options


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The report: machine, versions, rows, and where the time of our step goes."""
    trainers = installed(options.trainers.split(","), NEEDS)
    if not 1 <= options.threads <= available_cores():
        raise UsageError(
            f"--threads is {options.threads}; this process may use 1 to {available_cores()} cores"
        )
    checkpoint = Checkpoint.resolve(options.model)
    place = Place(checkpoint, options.max_length, options.threads)
    # One untimed step before the rounds.
    steps = 1 + options.rounds * options.steps
    files = [
        options.data / f"{name}.jsonl.xz" for name in (QUICK_FILES if options.quick else FILES)
    ]
    pairs = load_pairs(files, steps * options.batch)
    tasks = [
        Task(options.model, pairs, queries, dropout, options.batch, options.max_length)
        for queries in options.queries
        for dropout in options.dropout
    ]
    with tempfile.TemporaryDirectory(prefix="lsr-bench-") as temporary:
        folder = Path(temporary)
        measured = [
            compare(task, trainers, place, options, folder / str(number))
            for number, task in enumerate(tasks)
        ]
        anatomy = place.child("the parts of lsr", folder / "parts.txt", Anatomy, tasks[0])
        turns = [anatomy.ask("turn") for _ in range(options.rounds)]
        anatomy.close()
    differences = [
        abs(np.subtract(*(one.losses[0] for one in each)))
        for each in measured
        if len(each) == 2 and not each[0].task.dropout
    ]
    peak = highest([peaks for _, peaks in turns])
    return {
        "machine": describe_machine(),
        "versions": describe_versions(PACKAGES),
        "rows": [row for each in measured for row in rows(each, options)],
        "parts": list(part_rows([parts for parts, _ in turns], peak)),
        "peaks": in_units(peak),
        "largest_difference": float(max(differences, default=0.0)),
        "first_losses": "without dropout, first losses differ by "
        + (" and ".join(f"{difference:.1e}" for difference in differences) or "nothing to compare"),
    }


@dataclass(frozen=True)
class Measured:
    """One trainer on one task: seconds of each round, the loss of each step, and MB."""

    trainer: str
    task: Task
    seconds: Sequence[float]
    losses: Sequence[float]
    peak_mb: float
    loaded_mb: float


def compare(
    task: Task, trainers: Sequence[str], place: Place, options: argparse.Namespace, folder: Path
) -> list[Measured]:
    """The trainers in turns, each in a process of its own; who begins changes with the round."""
    folder.mkdir()
    exporting = place.child(OURS, folder / "ours.txt", Ours, task, folder / "ours")
    children = {OURS: exporting}
    try:
        if THEIRS in trainers:
            exported = exporting.ask("export")
            children[THEIRS] = place.child(THEIRS, folder / "theirs.txt", Theirs, task, exported)
        taken: dict[str, list[float]] = {name: [] for name in trainers}
        for name in trainers:
            children[name].ask("turn", 1)
        for number in range(options.rounds):
            for name in trainers if number % 2 else reversed(trainers):
                taken[name].append(children[name].ask("turn", options.steps))
        return [
            Measured(name, task, taken[name], *children[name].ask("finish")) for name in trainers
        ]
    finally:
        for child in children.values():
            child.close()


def rows(measured: Sequence[Measured], options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each trainer, against sentence-transformers with the same task."""
    peers = [one for one in measured if one.trainer == THEIRS]
    for one in measured:
        speeds = options.steps / np.array(one.seconds)
        speed = float(np.median(speeds))
        quarter, three_quarters = np.quantile(speeds, [0.25, 0.75])
        row: dict[str, Any] = {
            "trainer": one.trainer,
            "model": Path(one.task.base).name,
            "queries": one.task.queries,
            "dropout": one.task.dropout,
            "batch": one.task.batch,
            "steps_per_s": round(speed, 3),
            "spread": round(float(three_quarters - quarter), 3),
            "docs_per_s": round(speed * one.task.batch, 1),
            "ratio": None,
            "peak_rss_mb": round(one.peak_mb),
            "growth_mb": round(one.peak_mb - one.loaded_mb),
            "memory_ratio": None,
            "first_loss": round(one.losses[0], 5),
            "last_loss": round(one.losses[-1], 5),
        }
        for peer in peers:
            row["ratio"] = round(
                speed / float(np.median(options.steps / np.array(peer.seconds))), 2
            )
            row["memory_ratio"] = round(one.peak_mb / peer.peak_mb, 2)
        yield row


if __name__ == "__main__":
    sys.exit(main())
