"""The files of a snapshot, named by a manifest; read as if anyone had put them there."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from index.collection.commits import Commit
from index.collection.regular_file import NotPlainFileError, open_plain
from lsr.errors import CorruptionError, NotFoundError

MANIFEST = "snapshot.json"
# Not the name it has in a collection: nothing must open a snapshot as one, and so change it.
STORE_COPY = "snapshot.sqlite"
FORMAT = 1
LARGEST_MANIFEST = 1 << 24  # bytes
PIECE = 1 << 20
NAMES = re.compile(rf"{re.escape(STORE_COPY)}|segments/[0-9]{{1,20}}\.segment")
BLAKE2B = re.compile("[0-9a-f]{128}")
TOKEN = re.compile("[0-9a-f]{0,64}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


class FileEntry(NamedTuple):
    """What the manifest says of a file."""

    bytes: int
    blake2b: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """How many documents a snapshot has, and its files by their paths in its folder.

    ``created`` is when it was written, UTC, as in 2026-11-27T12:00:00Z; empty where
    that isn't known. ``commit`` is the state of the collection that it is of; None in the
    manifest of a release that didn't say.
    """

    documents: int
    files: Mapping[str, FileEntry]
    created: str
    commit: Commit | None = None

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(entry.bytes for entry in self.files.values())

    def write(self, folder: Path) -> None:
        """Write it into the folder, flushed to disk."""
        content = {
            "format": FORMAT,
            "created": self.created,
            "documents": self.documents,
            **({} if self.commit is None else {"commit": self.commit._asdict()}),
            "files": {name: entry._asdict() for name, entry in self.files.items()},
        }
        with (folder / MANIFEST).open("wb") as stream:
            stream.write(json.dumps(content, indent=2).encode())
            stream.flush()
            os.fsync(stream.fileno())


def parse_manifest(content: bytes, snapshot: object) -> Manifest:
    """What the bytes of a manifest say; ``snapshot`` is its place, for messages.

    Raises:
        CorruptionError: they are damaged, or of another format.
    """
    try:
        if len(content) > LARGEST_MANIFEST:
            raise ValueError("it is too large")
        manifest = json.loads(content)
        if manifest["format"] != FORMAT:
            raise CorruptionError(
                f"the snapshot {snapshot} has format version {manifest['format']} and this "
                f"release reads {FORMAT}; use the release that wrote it"
            )
        files = {name: _entry(name, entry) for name, entry in manifest["files"].items()}
        if STORE_COPY not in files:
            raise ValueError("it names no store")
        return Manifest(
            _count(manifest["documents"]),
            files,
            _moment(manifest.get("created")),
            _commit(manifest.get("commit")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptionError(
            f"the manifest {snapshot}/{MANIFEST} is damaged ({error}); nothing was "
            "restored, use another snapshot"
        ) from error


class TakenSnapshot(Protocol):
    """A snapshot to read, wherever it is."""

    @property
    def manifest(self) -> Manifest:
        """What it says of itself."""
        ...

    def versions(self) -> dict[str, tuple[int, str]]:
        """Of each file of the manifest that is there, its bytes, and what changes with it."""
        ...

    def copy(self, name: str, target: Path) -> None:
        """Copy a file of the manifest, flushed to disk.

        Raises:
            CorruptionError: it is missing, no plain file, or not what the manifest says.
            OSError: the target can't be written.
        """
        ...


class SnapshotFolder:
    """A snapshot to read: plain files only, no links, and no more bytes than the manifest says."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path = path
        self._handle = handle
        self.manifest = self._read_manifest()

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[SnapshotFolder]:
        """The snapshot at a path.

        Raises:
            NotFoundError: there is none.
            CorruptionError: its manifest is damaged, or of another format.
        """
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise NotFoundError(_no_snapshot(path)) from error
        try:
            yield cls(path, handle)
        finally:
            os.close(handle)

    def versions(self) -> dict[str, tuple[int, str]]:
        """Of each file of the manifest that is there, its bytes, and what changes with it."""
        found = {}
        for name in self.manifest.files:
            with suppress(OSError):
                place = os.stat(name, dir_fd=self._handle, follow_symlinks=False)
                found[name] = place.st_size, f"{place.st_ino} {place.st_mtime_ns}"
        return found

    def copy(self, name: str, target: Path) -> None:
        """Copy a file of the manifest, flushed to disk.

        Raises:
            CorruptionError: it is missing, no plain file, or not what the manifest says.
            OSError: the target can't be written.
        """
        expected = self.manifest.files[name]
        try:
            handle = self._open(name)
        except OSError as error:
            raise CorruptionError(
                f"the snapshot {self._path} lacks {name}, or it can't be read: {error}"
            ) from error
        try:
            same_size = os.fstat(handle).st_size == expected.bytes
            if not same_size or copy_file(handle, target, expected.bytes) != expected:
                raise CorruptionError(
                    f"the file {name} of the snapshot {self._path} differs from what was written"
                )
        finally:
            os.close(handle)

    def _open(self, name: str) -> int:
        """A file of this folder or of one inside, neither of them a link."""
        inner, _, rest = name.rpartition("/")
        if not inner:
            return open_plain(rest, folder=self._handle)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        folder = os.open(inner, flags, dir_fd=self._handle)
        try:
            return open_plain(rest, folder=folder)
        finally:
            os.close(folder)

    def _read_manifest(self) -> Manifest:
        try:
            handle = open_plain(MANIFEST, folder=self._handle)
        except NotPlainFileError as error:
            raise CorruptionError(
                f"the manifest {self._path / MANIFEST} is damaged: {error}"
            ) from error
        except OSError as error:
            raise NotFoundError(_no_snapshot(self._path)) from error
        with os.fdopen(handle, "rb") as stream:
            return parse_manifest(stream.read(LARGEST_MANIFEST + 1), self._path)


def copy_file(source: int, target: Path, limit: int | None = None) -> FileEntry:
    """Copy a file, flushed to disk; disk blocks are shared where the file system can do so.

    Args:
        source: its descriptor, at the beginning.
        target: a path that is new.
        limit: copy no more bytes than these.

    Returns:
        The bytes that the copy has, and their checksum.
    """
    size = os.fstat(source).st_size
    left = size if limit is None else min(limit, size)
    with target.open("xb+", buffering=0) as written:
        while left > 0 and (count := _copy_piece(source, written.fileno(), left)):
            left -= count
        os.fsync(written.fileno())
        copied = written.tell()
        written.seek(0)
        checksum = hashlib.file_digest(written, "blake2b").hexdigest()
    return FileEntry(copied, checksum)


def describe_file(path: Path) -> FileEntry:
    """What a manifest says of a file."""
    with path.open("rb") as stream:
        checksum = hashlib.file_digest(stream, "blake2b").hexdigest()
    return FileEntry(path.stat().st_size, checksum)


def _copy_piece(source: int, target: int, count: int) -> int:
    try:
        return os.copy_file_range(source, target, count)
    # No such call there, or not between these two disks.
    except (AttributeError, OSError):
        piece = os.read(source, min(count, PIECE))
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(target, rest) :]
        return len(piece)


def _entry(name: str, entry: Any) -> FileEntry:
    if not NAMES.fullmatch(name):
        raise ValueError(f"it names the file {name!r:.100}")
    if not isinstance(entry["blake2b"], str) or not BLAKE2B.fullmatch(entry["blake2b"]):
        raise ValueError("a checksum is none")
    return FileEntry(_count(entry["bytes"]), entry["blake2b"])


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("a number is missing")
    return value


def _moment(value: Any) -> str:
    return value if isinstance(value, str) and MOMENT.fullmatch(value) else ""


def _commit(value: Any) -> Commit | None:
    if value is None:
        return None
    identity, token = value["identity"], value["token"]
    if not all(isinstance(each, str) and TOKEN.fullmatch(each) for each in (identity, token)):
        raise ValueError("its commit is none")
    return Commit(identity, _count(value["revision"]), token)


def _no_snapshot(path: Path) -> str:
    return f"there is no snapshot at {path}; make one with: lsr snapshot"
