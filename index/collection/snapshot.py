"""Snapshots: a directory with a collection as of one moment, and a manifest that vouches for it.

``snapshot.json`` names every file with its size and BLAKE2b checksum. A snapshot or restored
collection appears under its name whole and flushed to disk, or not at all; a killed run leaves
only a hidden directory ``.NAME.*.partial`` beside it, which may be deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from index.collection.collection import STORE_FILE, Collection
from index.collection.storage_errors import write_error
from lsr.errors import CorruptionError, InputError, NotFoundError, UsageError
from lsr.whole_folder import appearing, flush_folder

MANIFEST = "snapshot.json"
# Not the name it has in a collection: nothing must open a snapshot as one, and so change it.
STORE_COPY = "snapshot.sqlite"
FORMAT = 1
PAGES_AT_A_TIME = 1024
PIECE = 1 << 20
NAMES = re.compile(rf"{re.escape(STORE_COPY)}|segments/\d+\.segment")
Progress = Callable[[int, int], None]


class SnapshotReport(NamedTuple):
    """What a snapshot holds."""

    documents: int
    segments: int
    bytes: int


def snapshot(
    collection: Collection, destination: Path, on_progress: Progress = lambda done, total: None
) -> SnapshotReport:
    """Write a snapshot of a collection; other processes may write to it meanwhile.

    Args:
        collection: what to copy. Its segments are hard-linked where that is possible.
        destination: a new directory.
        on_progress: takes the parts done and their total.

    Raises:
        UsageError: the destination exists already, or is inside the collection.
        LsrError: it can't be written.
    """
    if collection.path.resolve() in destination.resolve().parents:
        raise UsageError(
            f"{destination} is inside the collection {collection.path}; give the snapshot a path "
            "outside of it"
        )
    with _appearing(destination, "snapshot") as folder:
        documents = None
        while documents is None:
            documents = _copy(collection, folder, on_progress)
        files = _describe(folder)
        manifest = {
            "format": FORMAT,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "documents": documents,
            "files": files,
        }
        _write(folder / MANIFEST, json.dumps(manifest, indent=2).encode())
    return _report(manifest)


def restore(
    source: Path, destination: Path, on_progress: Progress = lambda done, total: None
) -> SnapshotReport:
    """Make a new collection of a snapshot, after verifying every byte of it.

    Raises:
        NotFoundError: there is no snapshot.
        UsageError: the destination exists already.
        CorruptionError: the snapshot is damaged or of another format.
        LsrError: the collection can't be written.
    """
    manifest = _read_manifest(source)
    total = sum(entry["bytes"] for entry in manifest["files"].values())
    done = 0
    with _appearing(destination, "collection") as folder:
        (folder / "segments").mkdir()
        for name, entry in manifest["files"].items():
            target = folder / (STORE_FILE if name == STORE_COPY else name)
            if _copy_file(source / name, target) != (entry["bytes"], entry["blake2b"]):
                raise CorruptionError(
                    f"the file {name} of the snapshot {source} differs from what was written; "
                    "nothing was restored, use another snapshot"
                )
            done += entry["bytes"]
            on_progress(done, total)
        flush_folder(folder / "segments")
        Collection.open(folder).close()
    return _report(manifest)


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


def _copy(collection: Collection, folder: Path, on_progress: Progress) -> int | None:
    """Store and segments as of one moment; the number of documents.

    None where a segment was replaced before it could be linked: then the moment has passed.
    """
    shutil.rmtree(folder / "segments", ignore_errors=True)
    (folder / "segments").mkdir()
    generation = 0
    try:
        with collection.store.reading():
            for entry in collection.segments.current().segments:
                generation = entry.generation
                path = collection.maintenance.path(generation)
                _link(path, folder / "segments" / path.name)
            _back_up(collection.store.connection, folder / STORE_COPY, on_progress)
            documents = len(collection)
    except FileNotFoundError as error:
        if not collection.segments.is_current(generation):
            return None
        raise CorruptionError(
            f"the segment file {error.filename} is missing; rebuild it with: "
            f"lsr check {collection.path} --repair"
        ) from error
    flush_folder(folder / "segments")
    return documents


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


def _link(source: Path, target: Path) -> None:
    """A hard link, for segments never change; a copy where the file system has none."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        _copy_file(source, target)


def _copy_file(source: Path, target: Path) -> tuple[int, str]:
    """Copy and flush to disk; the number of bytes and their checksum."""
    checksum, count = hashlib.blake2b(), 0
    with source.open("rb") as read, target.open("xb") as written:
        while piece := read.read(PIECE):
            checksum.update(piece)
            written.write(piece)
            count += len(piece)
        written.flush()
        os.fsync(written.fileno())
    return count, checksum.hexdigest()


def _describe(folder: Path) -> dict[str, dict[str, Any]]:
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as stream:
            checksum = hashlib.file_digest(stream, "blake2b").hexdigest()
        files[str(path.relative_to(folder))] = {"bytes": path.stat().st_size, "blake2b": checksum}
    return files


def _read_manifest(source: Path) -> dict[str, Any]:
    path = source / MANIFEST
    if not path.is_file():
        raise NotFoundError(f"there is no snapshot at {source}; make one with: lsr snapshot")
    try:
        manifest = json.loads(path.read_bytes())
        if manifest["format"] != FORMAT:
            raise CorruptionError(
                f"the snapshot {source} has format version {manifest['format']} and this release "
                f"reads {FORMAT}; use the release that wrote it"
            )
        sizes = [
            int(entry["bytes"]) + len(entry["blake2b"]) for entry in manifest["files"].values()
        ]
        whole = STORE_COPY in manifest["files"] and all(map(NAMES.fullmatch, manifest["files"]))
        if not (sizes and whole and isinstance(manifest["documents"], int)):
            raise InputError("a name or number is missing")
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise CorruptionError(
            f"the manifest {path} is damaged ({error}); nothing was restored, use another snapshot"
        ) from error
    missing = [name for name in manifest["files"] if not (source / name).is_file()]
    if missing:
        raise CorruptionError(
            f"the snapshot {source} lacks {missing[0]}; nothing was restored, use another snapshot"
        )
    found: dict[str, Any] = manifest
    return found


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _report(manifest: dict[str, Any]) -> SnapshotReport:
    files = manifest["files"]
    size = sum(entry["bytes"] for entry in files.values())
    return SnapshotReport(manifest["documents"], len(files) - 1, size)
