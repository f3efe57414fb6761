"""Where snapshots are published: a folder of theirs for each collection, in a folder or bucket."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from index.collection.snapshot_files import Manifest, TakenSnapshot
from lsr.errors import CorruptionError, NotFoundError

NAME_FORMAT = "%Y%m%dT%H%M%SZ"
"""Of a snapshot that is named by the time, UTC."""


class SnapshotStore(Protocol):
    """Snapshots by collection and name. One that has no manifest yet is none yet.

    Every method raises UnavailableError where the store can't be reached or read.
    """

    def collections(self) -> list[str]:
        """The names of collections that may have snapshots here, sorted."""
        ...

    def names(self, collection: str) -> list[str]:
        """The names of what may be a snapshot of a collection, sorted."""
        ...

    def opened(self, collection: str, name: str) -> AbstractContextManager[TakenSnapshot]:
        """A snapshot to read.

        Raises:
            NotFoundError: there is none, or it has no manifest yet.
            CorruptionError: its manifest is damaged, or of another format.
        """
        ...

    def placing(self, collection: str, name: str) -> AbstractContextManager[Path]:
        """A path for a new snapshot, which is published whole when the block ends without an error.

        Raises:
            UsageError: it can't be published here.
        """
        ...

    def delete(self, collection: str, name: str) -> None:
        """Delete a snapshot: in one instant it is none, and its files follow.

        Raises:
            NotFoundError: there is none.
        """
        ...

    def abandoned(self, collection: str) -> list[str]:
        """What publishers left that were killed long ago, by names that ``delete`` takes."""
        ...

    def place(self, collection: str, name: str) -> str:
        """Where a snapshot is, for people."""
        ...


class PublishedSnapshot(NamedTuple):
    """A snapshot with its manifest, ordered by when it was taken."""

    created: str
    revision: int
    name: str
    manifest: Manifest

    @classmethod
    def of(cls, name: str, manifest: Manifest) -> PublishedSnapshot:
        """That of a name."""
        revision = 0 if manifest.commit is None else manifest.commit.revision
        return cls(manifest.created, revision, name, manifest)

    @property
    def order(self) -> tuple[str, int, str]:
        """Ascends from the oldest to the newest."""
        return self[:3]


def published(store: SnapshotStore, collection: str) -> list[PublishedSnapshot]:
    """The snapshots of a collection whose manifests can be read, the oldest first.

    Raises:
        UnavailableError: the store can't be read.
    """
    found = []
    for name in store.names(collection):
        try:
            with store.opened(collection, name) as taken:
                found.append(PublishedSnapshot.of(name, taken.manifest))
        except (NotFoundError, CorruptionError):
            continue
    return sorted(found, key=lambda each: each.order)
