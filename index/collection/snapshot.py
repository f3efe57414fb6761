"""Snapshots: a directory with a collection as of one moment, and a manifest that vouches for it.

``snapshot.json`` names every file with its size and BLAKE2b checksum. A snapshot or restored
collection appears under its name whole and flushed to disk, or not at all; a killed run leaves
only a hidden directory ``.NAME.*.partial`` beside it, which may be deleted.

A snapshot shares no file with the collection, for damage to one would be damage to both. What it
holds is verified before it is vouched for, and nothing of it is believed when it is restored.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from index.collection.check import check, check_store
from index.collection.collection import STORE_FILE, Collection
from index.collection.commits import last_commit
from index.collection.foreign_store import check_foreign_store
from index.collection.maintenance import MaintenanceConfig
from index.collection.migration import migrate
from index.collection.new_database import appear
from index.collection.regular_file import open_plain
from index.collection.schema import MIGRATED_VERSION, OLDER_VERSION
from index.collection.search_defaults import check_search_defaults, search_defaults_text
from index.collection.segment import read_segment
from index.collection.segment_opening import open_segment
from index.collection.segment_table import SEGMENTS, SegmentEntry
from index.collection.snapshot_files import (
    STORE_COPY,
    Manifest,
    SnapshotFolder,
    TakenSnapshot,
    copy_file,
    describe_file,
)
from index.collection.storage_errors import write_error
from lsr.encoders.imported import IMPORTED
from lsr.errors import CorruptionError, NotFoundError, UsageError
from lsr.whole_folder import appearing, flush_folder

PAGES_AT_A_TIME = 1024
# Nothing is due by itself while a restored collection is looked at.
AT_REST = MaintenanceConfig(
    flush_documents=sys.maxsize, merge_factor=sys.maxsize, fewest_deleted=sys.maxsize
)
# What reading values that no release wrote may end in.
MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    sqlite3.Error,
)
Progress = Callable[[int, int], None]
log = logging.getLogger(__name__)


class SnapshotReport(NamedTuple):
    """What a snapshot holds."""

    documents: int
    segments: int
    bytes: int

    @classmethod
    def of(cls, manifest: Manifest) -> SnapshotReport:
        """The report of a manifest."""
        return cls(manifest.documents, len(manifest.files) - 1, manifest.bytes)


def snapshot(
    collection: Collection, destination: Path, on_progress: Progress = lambda done, total: None
) -> SnapshotReport:
    """Write a snapshot of a collection; other processes may write to it meanwhile.

    Args:
        collection: what to copy. Disk blocks are shared where the file system can do so.
        destination: a new directory.
        on_progress: takes the parts done and their total.

    Raises:
        UsageError: the destination exists already, or is inside the collection.
        CorruptionError: the collection is damaged.
        LsrError: it can't be written.
    """
    if collection.path.resolve() in destination.resolve().parents:
        raise UsageError(
            f"{destination} is inside the collection {collection.path}; give the snapshot a path "
            "outside of it"
        )
    with _appearing(destination, "snapshot") as folder:
        manifest = None
        while manifest is None:
            manifest = _copy(collection, folder, on_progress)
        manifest.write(folder)
    return SnapshotReport.of(manifest)


def restore(
    source: Path, destination: Path, on_progress: Progress = lambda done, total: None
) -> SnapshotReport:
    """Make a new collection of a snapshot, after verifying all of it as if anyone had written it.

    A segment that is damaged, missing, or other than the store says is built anew from the store.

    Raises:
        NotFoundError: there is no snapshot.
        UsageError: the destination exists already.
        CorruptionError: the snapshot is damaged or of another format.
        LsrError: the collection can't be written.
    """
    with SnapshotFolder.opened(source) as taken, _appearing(destination, "collection") as folder:
        (folder / SEGMENTS).mkdir()
        done = 0
        try:
            for name, entry in taken.manifest.files.items():
                _take(taken, name, folder / name)
                done += entry.bytes
                on_progress(done, taken.manifest.bytes)
            _verify(folder, taken.manifest)
        except CorruptionError as error:
            reason = str(error).replace(f"{folder}/", "").replace(str(folder), str(source))
            raise CorruptionError(
                f"the snapshot {source} can't be restored: {reason}; nothing was restored, use "
                "another snapshot"
            ) from error
        flush_folder(folder / SEGMENTS)
        return SnapshotReport.of(taken.manifest)


def replicate(taken: TakenSnapshot, folder: Path) -> None:
    """Make a collection to read of a snapshot, in a folder that appears whole when its caller is
    done; all of its files are compared with their checksums.

    Weights aren't compared with the store one by one, as ``restore`` does: who publishes a
    snapshot has done so, and nobody writes to this collection.

    Raises:
        CorruptionError: any of it is damaged, missing, or other than the manifest says.
        LsrError: it can't be written.
    """
    try:
        (folder / SEGMENTS).mkdir(parents=True)
        for name in taken.manifest.files:
            taken.copy(name, folder / name)
        with _opened_copy(folder, taken.manifest) as collection:
            fields, identity = collection.store.grown_fields(), collection.store.identity
            for entry in collection.segments.current().segments:
                path = collection.maintenance.path(entry.generation)
                open_segment(path, identity, entry, fields)
            collection.view()
        flush_folder(folder / SEGMENTS)
    except (OSError, sqlite3.OperationalError) as error:
        raise write_error(f"the copy can't be written ({error})", error, folder.parent) from error
    except MALFORMED as error:
        raise CorruptionError(f"its store is malformed ({type(error).__name__})") from error


def _take(taken: SnapshotFolder, name: str, target: Path) -> None:
    """Copy a file; a segment that is none is left out, for it is built again."""
    try:
        taken.copy(name, target)
    except CorruptionError as error:
        if name == STORE_COPY:
            raise
        log.warning("%s; it is built again from the store", error)
        target.unlink(missing_ok=True)


def _verify(folder: Path, manifest: Manifest) -> None:
    """Make a store of its copy; compare every row with its checksum, and rebuild bad segments."""
    try:
        with _opened_copy(folder, manifest) as collection:
            report = check(collection)
            if report.damaged and len(report.damaged) == len(report.problems):
                collection.maintenance.rebuild(tuple(report.damaged))
                report = check(collection)
    except NotFoundError as error:
        raise NotFoundError(
            f"term counts can't be compared with their store without their encoder: {error}; "
            "nothing was restored"
        ) from error
    except MALFORMED as error:
        raise CorruptionError(f"its store is malformed ({type(error).__name__})") from error
    if report.problems:
        raise CorruptionError(report.problems[0].partition(";")[0])


@contextmanager
def _opened_copy(folder: Path, manifest: Manifest) -> Iterator[Collection]:
    """The collection that the files of a snapshot are, which was looked at before it was opened."""
    version = check_foreign_store(folder / STORE_COPY)
    if version == MIGRATED_VERSION:
        (folder / STORE_COPY).rename(folder / STORE_FILE)
    else:
        appear(folder / STORE_COPY, folder / STORE_FILE)
    if version in (MIGRATED_VERSION, OLDER_VERSION):
        migrate(folder)
    with closing(Collection.open(folder, AT_REST)) as collection:
        if len(collection) != manifest.documents:
            raise CorruptionError(
                f"its manifest says {manifest.documents} documents, and its store {len(collection)}"
            )
        if manifest.commit is not None and collection.store.identity != manifest.commit.identity:
            raise CorruptionError("its store is that of another collection than its manifest says")
        check_search_defaults(search_defaults_text(collection.store))
        for field in collection.fields:
            if field.encoder == IMPORTED and len(collection.store.tokens()) != field.size:
                raise CorruptionError(f"its vocabulary has not the {field.size} terms it needs")
        yield collection


@contextmanager
def _appearing(destination: Path, what: str) -> Iterator[Path]:
    """A directory to fill, which gets its name, whole and on disk, when the block ends.

    Raises:
        UsageError: something has that name.
        LsrError: it can't be written.
    """
    if destination.exists() or destination.is_symlink():
        raise UsageError(f"{destination} exists already; give the {what} a path of its own")
    try:
        with appearing(destination, parents=True, durable=True) as folder:
            yield folder
    except (OSError, sqlite3.OperationalError) as error:
        raise write_error(
            f"the {what} {destination} can't be written ({error}); nothing is left there, see that "
            "the disk has space and works, and try again",
            error,
        ) from error


def _copy(collection: Collection, folder: Path, on_progress: Progress) -> Manifest | None:
    """Store and segments as of one moment, all verified.

    None where a segment was replaced before it could be copied: then the moment has passed.
    """
    shutil.rmtree(folder / SEGMENTS, ignore_errors=True)
    (folder / SEGMENTS).mkdir()
    generation, files = 0, {}
    store = collection.store
    try:
        with store.reading():
            for entry in collection.segments.current().segments:
                generation = entry.generation
                path = collection.maintenance.path(generation)
                name = f"segments/{path.name}"
                handle = open_plain(path)
                try:
                    files[name] = copy_file(handle, folder / name)
                finally:
                    os.close(handle)
                _check_copy(collection, path, folder / name, entry)
            if problems := check_store(collection).problems:
                raise CorruptionError(f"no snapshot was taken: {problems[0]}")
            _back_up(store.connection, folder / STORE_COPY, on_progress)
            files[STORE_COPY] = describe_file(folder / STORE_COPY)
            documents = len(collection)
            commit, _ = last_commit(store.connection, store.path)
    except FileNotFoundError as error:
        if not collection.segments.is_current(generation):
            return None
        raise CorruptionError(
            f"the segment file {error.filename} is missing; rebuild it with: "
            f"lsr check {collection.path} --repair"
        ) from error
    flush_folder(folder / SEGMENTS)
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Manifest(documents, files, created, commit)


def _check_copy(collection: Collection, path: Path, copy: Path, entry: SegmentEntry) -> None:
    try:
        read_segment(copy, collection.store.identity, entry)
    except CorruptionError as error:
        raise CorruptionError(
            f"no snapshot was taken: the segment file {path} is damaged; rebuild it with: "
            f"lsr check {collection.path} --repair"
        ) from error


def _back_up(source: sqlite3.Connection, path: Path, on_progress: Progress) -> None:
    """Copy a database as its open transaction sees it."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as copy:
        source.backup(
            copy,
            pages=PAGES_AT_A_TIME,
            progress=lambda status, left, total: on_progress(total - left, total),
            sleep=0,
        )
        # One plain file: no journal beside it that the manifest would miss.
        copy.execute("PRAGMA journal_mode = DELETE")
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
