"""Where the snapshots of a server are: a folder for each index, and in it one for each."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from index.snapshots.folder_store import FolderStore
from index.snapshots.store import published
from lsr.errors import ConflictError
from service.settings import ServerSettings
from service.state.places import Places, check_name


class SnapshotEntry(NamedTuple):
    """One snapshot: documents and bytes, and when it was written; None where it can't be read."""

    name: str
    created: str
    documents: int
    bytes: int


class _Served(Protocol):
    @property
    def folder(self) -> Path | None: ...


class Snapshots:
    """The snapshots in a folder.

    Args:
        folder: which.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.store = FolderStore(folder)
        """The same, as publishing sees them."""

    @classmethod
    def of_server(cls, settings: ServerSettings, served: _Served) -> Snapshots:
        """Those in the folder of the settings, or of the first folder that is served.

        Raises:
            ConflictError: there is neither.
        """
        if settings.snapshots is not None:
            return cls(settings.snapshots.absolute())
        if served.folder is None:
            raise ConflictError(
                "this server has no folder for snapshots; its owner gives one by the setting "
                "snapshots"
            )
        return cls(Places(served.folder).snapshots)

    def path(self, index: str, name: str) -> Path:
        """The place of a snapshot, there or not.

        Raises:
            UsageError: it can't be the name of one.
        """
        return self._folder / check_name(index) / check_name(name, "a snapshot")

    def has(self, index: str, name: str) -> bool:
        """Whether there is such a snapshot."""
        return self.path(index, name).is_dir()

    def listed(self, index: str) -> list[SnapshotEntry]:
        """The snapshots of an index that can be read, by name."""
        found = [
            SnapshotEntry(each.name, each.created, each.manifest.documents, each.manifest.bytes)
            for each in published(self.store, check_name(index))
        ]
        return sorted(found)

    def delete(self, index: str, name: str) -> None:
        """Delete a snapshot; what is left of it where this is cut short is none.

        Raises:
            NotFoundError: there is none.
        """
        self.store.delete(check_name(index), check_name(name, "a snapshot"))
