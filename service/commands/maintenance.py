"""The commands that keep a collection safe: snapshot, restore, check.

Everything heavier than click is imported inside the command that needs it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.options import json_option, trust_option

if TYPE_CHECKING:
    from index.collection.snapshot import SnapshotReport
    from lsr.trusted_code import TrustedCode


@click.command("snapshot")
@click.argument("collection", type=click.Path(path_type=Path))
@click.argument("destination", type=click.Path(path_type=Path))
@json_option
def snapshot_command(collection: Path, destination: Path, as_json: bool) -> None:
    """Write a snapshot of COLLECTION to the new directory DESTINATION.

    It is of one moment, even if another process is writing, and appears whole or not at all.
    Segments are hard-linked where that is possible, so they take no space twice.
    """
    from index.collection.collection import Collection
    from index.collection.snapshot import snapshot
    from service.commands import terminal

    started = time.perf_counter()
    with terminal.step_progress("copying", as_json) as on_progress:
        report = snapshot(Collection.open(collection), destination, on_progress)
    _print_copy(report, destination, "snapshot", time.perf_counter() - started, as_json)


@click.command("restore")
@click.argument("snapshot", type=click.Path(path_type=Path))
@click.argument("collection", type=click.Path(path_type=Path))
@json_option
def restore_command(snapshot: Path, collection: Path, as_json: bool) -> None:
    """Make the new COLLECTION from SNAPSHOT, after verifying every byte of it."""
    from index.collection.snapshot import restore
    from service.commands import terminal

    started = time.perf_counter()
    with terminal.step_progress("verifying and copying", as_json) as on_progress:
        report = restore(snapshot, collection, on_progress)
    _print_copy(report, collection, "collection", time.perf_counter() - started, as_json)


@click.command("check")
@click.argument("collection", type=click.Path(path_type=Path))
@click.option("--repair", is_flag=True, help="Rebuild damaged segments from the store.")
@trust_option
@json_option
def check_command(collection: Path, repair: bool, trusted: TrustedCode, as_json: bool) -> None:
    """Verify COLLECTION: the store, every checksum, and that segments equal the store.

    Each problem is one line, and the exit code is then 1. With --repair damaged segments are
    rebuilt and checked again, and only what is still wrong counts.
    """
    from index.collection import check
    from index.collection.collection import Collection
    from service.commands import terminal

    started = time.perf_counter()
    opened = Collection.open(collection, trusted=trusted)
    with terminal.step_progress("checking", as_json) as on_progress:
        report = check.check(opened, on_progress)
    found, repaired = report.problems, 0
    if repair and report.damaged:
        with terminal.step_progress("repairing", as_json) as on_progress:
            repaired = check.repair(opened, report)
            report = check.check(opened, on_progress)
    left = report.problems
    if as_json:
        counts = {name: getattr(report, name) for name in ("documents", "segments", "weights")}
        seconds = round(time.perf_counter() - started, 3)
        checked = {"collection": str(collection), **counts, "seconds": seconds}
        terminal.print_json(checked | {"found": found, "repaired": repaired, "problems": left})
    else:
        for line in found if repaired else left:
            terminal.out.print(line, markup=False)
        if repaired:
            terminal.out.print(f"{_count(repaired, 'segment')} rebuilt")
            for line in left:
                terminal.out.print(f"still: {line}", markup=False)
        terminal.out.print(
            f"{_count(len(left), 'problem') if left else 'no problem'} in "
            f"{_count(report.documents, 'document')} and {_count(report.segments, 'segment')}: "
            f"store, digests, checksums, and {_count(report.weights, 'weight')} against the store"
        )
    sys.exit(1 if left else 0)


def _print_copy(
    report: SnapshotReport, target: Path, what: str, seconds: float, as_json: bool
) -> None:
    from service.commands import terminal

    if as_json:
        counts = report._asdict() | {"seconds": round(seconds, 3)}
        terminal.print_json({what: str(target), **counts})
        return
    terminal.out.print(
        f"the {what} {target} holds {_count(report.documents, 'document')} and "
        f"{_count(report.segments, 'segment')}, {report.bytes:,} bytes, in {seconds:.1f} s",
        markup=False,
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
