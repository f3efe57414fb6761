"""Snapshots published in an object store, by fsspec: S3 and what speaks its protocol, or others."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from index.collection.snapshot_files import (
    LARGEST_MANIFEST,
    MANIFEST,
    PIECE,
    FileEntry,
    Manifest,
    parse_manifest,
)
from index.snapshots.store import NAME_FORMAT
from lsr.errors import (
    CorruptionError,
    LsrError,
    MissingDependencyError,
    NotFoundError,
    UnavailableError,
    UsageError,
)

# Seconds after which an upload without a manifest is nobody's any more.
ABANDONED_SECONDS = 86_400.0
# What changes with an object, by what stores call it.
VERSIONS = ("ETag", "etag", "md5", "LastModified", "last_modified", "mtime", "created")
URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s]+")


def check_url(url: str) -> type[Any]:
    """The class of the file system of a URL.

    Raises:
        MissingDependencyError: the package that speaks with it is not installed.
        UsageError: it is no such URL, or it holds a password.
    """
    scheme = url.partition("://")[0]
    if not URL.fullmatch(url):
        raise UsageError(
            f"{scheme}://... is no address of snapshots; give a folder, or a URL as "
            "s3://bucket/folder"
        )
    with suppress(ValueError):
        if "@" in urlsplit(url).netloc:
            raise UsageError(
                f"the address {scheme}://... of snapshots holds a name or password; leave them "
                "out, and give them in the environment, as AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY"
            )
    try:
        from fsspec import get_filesystem_class
    except ImportError as error:
        raise MissingDependencyError("an object store", "fsspec", "s3") from error
    try:
        found: type[Any] = get_filesystem_class(scheme)
    except ImportError as error:
        if scheme in ("s3", "s3a"):
            raise MissingDependencyError("an S3 object store", "s3fs", "s3") from error
        raise UsageError(f"{scheme}:// needs a package that is not installed: {error}") from error
    except ValueError as error:
        raise UsageError(
            f"{scheme}:// is no object store that fsspec knows; give a folder, or a URL as "
            "s3://bucket/folder"
        ) from error
    return found


class ObjectStore:
    """A bucket, or a folder in one, of collections' folders of snapshots.

    There is no renaming in an object store: a snapshot is published once its manifest is there,
    which is written last, and it is none as soon as that is deleted, which is first.

    Args:
        url: as ``s3://bucket/folder``.

    Raises:
        MissingDependencyError: the package that speaks with it is not installed.
        UsageError: it is no such URL, or it holds a password.
    """

    def __init__(self, url: str) -> None:
        check_url(url)
        from fsspec.core import url_to_fs

        self._url = url.rstrip("/")
        with self.reached():
            self._fs, root = url_to_fs(self._url)
        self._root = root.rstrip("/")
        self._own_name = self._root.rpartition("/")[2]
        self._of_one: bool | None = None

    def collections(self) -> list[str]:
        """See ``SnapshotStore``."""
        return [self._own_name] if self._is_of_one() else self._folders(self._root)

    def names(self, collection: str) -> list[str]:
        """See ``SnapshotStore``."""
        return self._folders(self._of(collection))

    @contextmanager
    def opened(self, collection: str, name: str) -> Iterator[ObjectSnapshot]:
        """See ``SnapshotStore``."""
        folder = f"{self._of(collection)}/{name}"
        try:
            with self.reached(), self._fs.open(f"{folder}/{MANIFEST}", "rb") as stream:
                content = stream.read(LARGEST_MANIFEST + 1)
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no snapshot at {self._url}, {name}") from error
        yield ObjectSnapshot(self, self._fs, folder, parse_manifest(content, folder))

    @contextmanager
    def placing(self, collection: str, name: str) -> Iterator[Path]:
        """See ``SnapshotStore``: a path on this machine, of what is then uploaded."""
        target = f"{self._of(collection)}/{name}"
        with self.reached():
            if self._fs.exists(target):
                raise UsageError(f"{self.place(collection, name)} is there; give another name")
            if self._is_of_one() and self._own_name != collection:
                raise UsageError(
                    f"{self._url} holds the snapshots of {self._own_name!r} itself; publish others "
                    "into the folder above it"
                )
        with tempfile.TemporaryDirectory(prefix="lsr-snapshot-") as folder:
            made = Path(folder, name)
            yield made
            try:
                with self.reached():
                    self._upload(made, target)
            except BaseException:
                with suppress(Exception):
                    self._remove(target)
                raise

    def delete(self, collection: str, name: str) -> None:
        """See ``SnapshotStore``."""
        target = f"{self._of(collection)}/{name}"
        with self.reached():
            if not self._fs.exists(target):
                raise NotFoundError(f"the index {collection!r} has no snapshot {name!r}")
            self._remove(target)

    def abandoned(self, collection: str) -> list[str]:
        """See ``SnapshotStore``."""
        last = time.strftime(NAME_FORMAT, time.gmtime(time.time() - ABANDONED_SECONDS))
        target = self._of(collection)
        with self.reached():
            return [
                name
                for name in self.names(collection)
                if re.fullmatch(r"\d{8}T\d{6}Z", name)
                and name < last
                and not self._fs.exists(f"{target}/{name}/{MANIFEST}")
            ]

    def place(self, collection: str, name: str) -> str:
        """See ``SnapshotStore``."""
        folder = "" if self._of(collection) == self._root else f"/{collection}"
        return f"{self._url}{folder}/{name}"

    def _upload(self, made: Path, target: str) -> None:
        files = sorted(path for path in made.rglob("*") if path.is_file())
        # Last of all what says that the others are there.
        for path in sorted(files, key=lambda each: each.name == MANIFEST):
            name = path.relative_to(made).as_posix()
            self._fs.makedirs(posixpath.dirname(f"{target}/{name}"), exist_ok=True)
            self._fs.put_file(str(path), f"{target}/{name}")

    def _remove(self, target: str) -> None:
        with suppress(FileNotFoundError):
            self._fs.rm_file(f"{target}/{MANIFEST}")
        self._fs.rm(target, recursive=True)

    def _of(self, collection: str) -> str:
        is_own = collection == self._own_name and self._is_of_one()
        return self._root if is_own else f"{self._root}/{collection}"

    def _is_of_one(self) -> bool:
        """Whether it holds the snapshots of one collection; asked until anything is there."""
        if self._of_one is None:
            folders = self._folders(self._root)
            with self.reached():
                manifests = [f"{self._root}/{name}/{MANIFEST}" for name in folders]
                # One that was put beside the collections' folders by mistake hides none of these.
                others = (
                    f"{self._root}/{name}/{inner}/{MANIFEST}"
                    for name in folders
                    for inner in self._folders(f"{self._root}/{name}")
                )
                of_one = any(map(self._fs.exists, manifests)) and not any(
                    map(self._fs.exists, others)
                )
            self._of_one = of_one if folders else None
            return of_one
        return self._of_one

    def _folders(self, path: str) -> list[str]:
        """Names of the folders in one, which need not be there."""
        with self.reached():
            # Else what another process wrote isn't seen.
            self._fs.invalidate_cache()
            try:
                entries = self._fs.ls(path, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return []
        names = {_name(each) for each in entries if each["type"] == "directory"}
        return sorted(name for name in names if name and name[0] != ".")

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Whatever goes wrong inside is a store that can't be reached, but for what is missing."""
        try:
            yield
        except (LsrError, FileNotFoundError):
            raise
        # Each store has errors of its own.
        except Exception as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise UnavailableError(
                f"the snapshots at {self._url} can't be read or written ({reason}); see that the "
                "store answers, and that the environment has the right keys for it"
            ) from error


class ObjectSnapshot:
    """A snapshot in an object store; see ``TakenSnapshot``."""

    def __init__(self, store: ObjectStore, fs: Any, folder: str, manifest: Manifest) -> None:
        self._store, self._fs, self._folder = store, fs, folder
        self.manifest = manifest

    def versions(self) -> dict[str, tuple[int, str]]:
        """See ``TakenSnapshot``."""
        found = {}
        for folder in sorted({posixpath.dirname(name) for name in self.manifest.files}):
            with suppress(FileNotFoundError), self._store.reached():
                for entry in self._fs.ls(posixpath.join(self._folder, folder), detail=True):
                    name = posixpath.join(folder, _name(entry))
                    if name in self.manifest.files:
                        version = next((str(entry[each]) for each in VERSIONS if each in entry), "")
                        found[name] = int(entry["size"] or 0), version
        return found

    def copy(self, name: str, target: Path) -> None:
        """See ``TakenSnapshot``."""
        expected = self.manifest.files[name]
        checksum, left = hashlib.blake2b(), expected.bytes
        try:
            with self._store.reached(), target.open("xb") as written:
                with self._fs.open(posixpath.join(self._folder, name), "rb") as source:
                    # One byte more than there should be is enough.
                    while left >= 0 and (piece := source.read(min(PIECE, left + 1))):
                        left -= len(piece)
                        checksum.update(piece)
                        written.write(piece)
                written.flush()
                os.fsync(written.fileno())
        except FileNotFoundError as error:
            raise CorruptionError(f"the snapshot {self._folder} lacks {name}") from error
        copied = FileEntry(expected.bytes - left, checksum.hexdigest())
        if copied != expected:
            raise CorruptionError(
                f"the file {name} of the snapshot {self._folder} differs from what was written"
            )


def _name(entry: dict[str, Any]) -> str:
    return posixpath.basename(str(entry["name"]).rstrip("/"))
