"""The copies of snapshots on the disk of a replica: FOLDER/INDEX/SNAPSHOT/INDEX, a collection."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Container, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from index.collection.collection import is_collection
from index.collection.file_lock import FileLock
from index.collection.snapshot_files import LARGEST_MANIFEST, MANIFEST, parse_manifest
from index.snapshots.store import PublishedSnapshot
from lsr.errors import ConflictError, CorruptionError, LsrError, UsageError
from lsr.whole_folder import appearing
from service.state.database import FOLDER

# For which the processes of a replica that was killed are waited for.
LOCK_SECONDS = 15.0
LOCK, DELETED = "replica.lock", ".deleted"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a snapshot of an index; ``path`` is its collection."""

    index: str
    snapshot: PublishedSnapshot
    path: Path


State = Mapping[str, Copy]
"""By index, the copies that are searched together."""


class Copies:
    """Those in a folder, each of which appears whole, and goes in one instant.

    Args:
        folder: a folder of the replica's own, which is made where it is missing.

    Raises:
        UsageError: it holds collections, or can't be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / FOLDER).mkdir(mode=0o700, exist_ok=True)
            inside = [self.folder, *self.folder.iterdir()]
        except OSError as error:
            raise UsageError(
                f"the folder {folder} for copies of snapshots can't be made ({error.strerror}); "
                "give another"
            ) from error
        if any(map(is_collection, inside)):
            raise UsageError(
                f"{folder} holds collections, and a replica copies snapshots to a folder of its "
                "own; give another, as in: lsr serve COPIES --follow SNAPSHOTS"
            )
        self._held = ExitStack()

    def lock(self) -> None:
        """Keep other replicas out of the folder for as long as a process of this one lives.

        Raises:
            ConflictError: another one is at work in it.
        """
        lock = FileLock(self.folder / FOLDER / LOCK)
        if not self._held.enter_context(lock.held(LOCK_SECONDS)):
            raise ConflictError(
                f"another replica (process {lock.holder() or 'unknown'}) copies to {self.folder}; "
                "give each a folder of its own"
            )

    def newest(self, but: Container[tuple[str, str]] = ()) -> State:
        """The newest copy of each index, leaving out some by index and name of the snapshot."""
        found: dict[str, Copy] = {}
        for each in self._all():
            if (each.index, each.snapshot.name) in but:
                continue
            before = found.get(each.index)
            if before is None or before.snapshot.order < each.snapshot.order:
                found[each.index] = each
        return found

    @contextmanager
    def making(self, index: str, snapshot: PublishedSnapshot) -> Iterator[Path]:
        """The path of a collection to make, which is a copy once the block has ended.

        Raises:
            LsrError: it can't be written.
        """
        place = self.folder / index / snapshot.name
        self._delete(place)
        try:
            with appearing(place, parents=True, durable=True) as folder:
                yield folder / index
                snapshot.manifest.write(folder)
        except OSError as error:
            raise LsrError(f"the copy {place} can't be written ({error.strerror})") from error

    def free(self) -> int:
        """Bytes that the disk has left."""
        return shutil.disk_usage(self.folder).free

    def keep(self, *states: State) -> None:
        """Delete all copies but those of some states, and what was left half-way."""
        kept = {copy.path for state in states for copy in state.values()}
        for index in self._folders(self.folder):
            for place in self._folders(index, hidden=True):
                if place.name.startswith(".") or place / index.name not in kept:
                    self._delete(place)

    def delete(self, copy: Copy) -> None:
        """Delete a copy."""
        self._delete(copy.path.parent)

    def _delete(self, place: Path) -> None:
        gone = place
        if not place.name.startswith("."):
            gone = place.with_name(f".{place.name}{DELETED}")
            shutil.rmtree(gone, ignore_errors=True)
            try:
                place.rename(gone)
            except FileNotFoundError:
                return
        shutil.rmtree(gone, ignore_errors=True)

    def _all(self) -> Iterator[Copy]:
        for index in self._folders(self.folder):
            for place in self._folders(index):
                path = place / index.name
                with suppress(OSError, CorruptionError):
                    with (place / MANIFEST).open("rb") as stream:
                        manifest = parse_manifest(stream.read(LARGEST_MANIFEST + 1), place)
                    if is_collection(path):
                        yield Copy(index.name, PublishedSnapshot.of(place.name, manifest), path)

    @staticmethod
    def _folders(path: Path, hidden: bool = False) -> list[Path]:
        with suppress(OSError):
            return [
                each
                for each in sorted(path.iterdir())
                if each.is_dir() and (hidden or not each.name.startswith("."))
            ]
        return []
