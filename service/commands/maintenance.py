"""The commands that keep a collection safe: snapshot, restore, check, migrate.

Everything heavier than click is imported inside the command that needs it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.options import PLACE, FolderType, json_option, trust_option

if TYPE_CHECKING:
    from index.collection.collection import Collection
    from index.collection.repair import RepairReport
    from index.collection.snapshot import SnapshotReport
    from index.opening import Place
    from index.qdrant.address import QdrantAddress
    from lsr.trusted_code import TrustedCode


VERIFY = "lsr push again verifies a copy, and Qdrant what it stores"
RECOVER = (
    "recover a snapshot of Qdrant's by its own call, or restore to a directory and lsr push that"
)


@click.command("snapshot")
@click.argument("collection", type=PLACE)
@click.argument("destination", type=click.Path(path_type=Path), required=False)
@click.option(
    "--to",
    "store",
    metavar="SNAPSHOTS",
    help="Publish it, named by the time, in the folder of COLLECTION in a folder or in an object "
    "store (s3://bucket/folder), for lsr serve --follow; nothing where the newest there is of the "
    "same state.",
)
@click.option("--as", "name", metavar="NAME", help="With --to: publish it as of this collection.")
@click.option(
    "--keep",
    type=int,
    metavar="N",
    help="With --to: delete all snapshots of the collection there but the N newest.",
)
@json_option
def snapshot_command(
    collection: Place,
    destination: Path | None,
    store: str | None,
    name: str | None,
    keep: int | None,
    as_json: bool,
) -> None:
    """Write a snapshot of COLLECTION to the new directory DESTINATION, or publish it with --to.

    It is of one moment, even if another process is writing, and appears whole or not at all.
    All of it is verified, and it shares no file with COLLECTION. Of one in Qdrant it is the file
    that Qdrant makes, which Qdrant recovers.
    """
    from index.collection.collection import Collection
    from index.collection.snapshot import snapshot
    from lsr.errors import UsageError
    from service.commands import terminal

    if (destination is None) == (store is None):
        raise UsageError("say where the snapshot goes: a new DESTINATION, or --to SNAPSHOTS")
    if store is None and (name is not None or keep is not None):
        raise UsageError("--as and --keep are for snapshots that are published: add --to SNAPSHOTS")
    if not isinstance(collection, Path):
        if destination is None:
            raise UsageError(
                f"{collection} is in Qdrant, and replicas follow snapshots of collections in "
                "folders; several servers may be over one collection in Qdrant themselves"
            )
        _snapshot_of_qdrant(collection, destination, as_json)
        return
    started = time.perf_counter()
    opened = Collection.open(collection)
    if store is not None:
        _publish(opened, store, name or collection.resolve().name, keep, as_json)
        return
    assert destination is not None
    with terminal.step_progress("copying", as_json) as on_progress:
        report = snapshot(opened, destination, on_progress)
    _print_copy(report, destination, "snapshot", time.perf_counter() - started, as_json)


def _publish(
    collection: Collection, address: str, name: str, keep: int | None, as_json: bool
) -> None:
    from index.snapshots.address import snapshot_store
    from index.snapshots.publishing import publish
    from service.commands import terminal

    started = time.perf_counter()
    with terminal.step_progress("copying", as_json) as on_progress:
        done = publish(collection, snapshot_store(address), name, keep, on_progress)
    seconds = time.perf_counter() - started
    if as_json:
        counts = done.report._asdict() | {"seconds": round(seconds, 3)}
        terminal.print_json(
            {"snapshot": done.place, "name": done.name, "new": done.is_new, **counts}
            | {"deleted": done.deleted}
        )
        return
    if done.is_new:
        _print_copy(done.report, done.place, "snapshot", seconds, as_json)
    else:
        terminal.out.print(
            f"nothing was written since the snapshot {done.place}, which is the newest",
            markup=False,
        )
    if done.deleted:
        terminal.out.print(f"{_count(len(done.deleted), 'older snapshot')} deleted", markup=False)


def _snapshot_of_qdrant(address: QdrantAddress, destination: Path, as_json: bool) -> None:
    from contextlib import closing

    from index.qdrant.collection import QdrantCollection
    from lsr.errors import UsageError
    from service.commands import terminal

    started = time.perf_counter()
    if destination.exists():
        raise UsageError(f"{destination} is there already; give a new directory")
    with closing(QdrantCollection.open(address)) as opened:
        documents = len(opened)
        destination.mkdir(parents=True)
        made = opened.port.snapshot(destination)
    files = [path for path in (made, *made.rglob("*")) if path.is_file()]
    size, seconds = sum(path.stat().st_size for path in files), time.perf_counter() - started
    if as_json:
        terminal.print_json(
            {"snapshot": str(made), "documents": documents, "bytes": size,
             "seconds": round(seconds, 3)}
        )  # fmt: skip
        return
    terminal.out.print(
        f"the snapshot {made} of {address} holds {_count(documents, 'document')}, {size:,} bytes, "
        f"in {seconds:.1f} s",
        markup=False,
    )


@click.command("restore")
@click.argument("snapshot", type=click.Path(path_type=Path))
@click.argument("collection", type=FolderType(RECOVER))
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
@click.argument("collection", type=FolderType(VERIFY))
@click.option("--repair", is_flag=True, help="Mend what is damaged from what is sound.")
@trust_option
@json_option
def check_command(collection: Path, repair: bool, trusted: TrustedCode, as_json: bool) -> None:
    """Verify COLLECTION: the store, every checksum, and that segments equal the store.

    Each problem is one line, and the exit code is then 1. With --repair, damaged segments are
    rebuilt from the store, and damaged vectors of the store are taken from segments or encoded
    again; all is checked again, and only what is still wrong counts. Commits that are missing at
    the end are given up, and said.
    """
    from index.collection import check
    from index.collection.collection import Collection
    from index.collection.repair import RepairReport, accept_commits
    from index.collection.repair import repair as mend
    from lsr.errors import CorruptionError
    from service.commands import terminal

    started = time.perf_counter()
    done = RepairReport()
    found: list[str] = []
    try:
        if repair and (problem := accept_commits(collection, done)):
            found.append(problem)
        opened = Collection.open(collection, trusted=trusted)
        with terminal.step_progress("checking", as_json) as on_progress:
            report = check.check(opened, on_progress)
        found += report.problems
        if repair and report.problems:
            with terminal.step_progress("repairing", as_json) as on_progress:
                mend(opened, report, done)
                report = check.check(opened, on_progress)
    except CorruptionError as error:
        report = check.CheckReport(problems=[str(error)])
        found += report.problems
    left = report.problems
    if as_json:
        counts = {name: getattr(report, name) for name in ("documents", "segments", "weights")}
        seconds = round(time.perf_counter() - started, 3)
        checked = {"collection": str(collection), **counts, "seconds": seconds}
        repairs = (
            {"repaired": done.repaired, "repairs": asdict(done)} if repair else {"repaired": 0}
        )
        terminal.print_json(checked | {"found": found} | repairs | {"problems": left})
    else:
        for line in found if repair else left:
            terminal.out.print(line, markup=False)
        for line in [*_repairs(done), *done.said]:
            terminal.out.print(line, markup=False)
        if done.repaired or done.said:
            for line in left:
                terminal.out.print(f"still: {line}", markup=False)
        terminal.out.print(
            f"{_count(len(left), 'problem') if left else 'no problem'} in "
            f"{_count(report.documents, 'document')} and {_count(report.segments, 'segment')}: "
            f"store, digests, checksums, and {_count(report.weights, 'weight')} against the store"
        )
    sys.exit(1 if left else 0)


@click.command("migrate")
@click.argument("collection", type=FolderType("push its source anew to another name"))
@json_option
def migrate_command(collection: Path, as_json: bool) -> None:
    """Bring COLLECTION, written by the release before, to the format of this one.

    Nothing is encoded again. The collection stays as it was until its copy is verified, and a run
    that was interrupted goes on where it was.
    """
    from index.collection.migration import migrate
    from index.collection.schema import VERSION
    from service.commands import terminal

    started = time.perf_counter()
    with terminal.step_progress("migrating", as_json) as on_progress:
        report = migrate(collection, on_progress)
    seconds = time.perf_counter() - started
    if as_json:
        versions = {"from": report.version, "to": VERSION}
        counts = {"documents": report.documents, "segments": report.segments}
        terminal.print_json(
            {"collection": str(collection), **versions, **counts, "seconds": round(seconds, 3)}
        )
        return
    terminal.out.print(
        f"the collection {collection} went from format {report.version} to {VERSION} with "
        f"{_count(report.documents, 'document')} and {_count(report.segments, 'segment')}, in "
        f"{seconds:.1f} s",
        markup=False,
    )


def _repairs(done: RepairReport) -> Iterator[str]:
    """What was mended, a line for each kind."""
    for number, noun, what in (
        (done.segments, "segment", "rebuilt"),
        (done.recovered, "vector", "taken from segments"),
        (done.encoded, "vector", "encoded again"),
        (done.tables, "table", "rebuilt"),
    ):
        if number:
            yield f"{_count(number, noun)} {what}"


def _print_copy(
    report: SnapshotReport, target: Path | str, what: str, seconds: float, as_json: bool
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
