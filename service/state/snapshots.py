"""Where the snapshots of a server are: a folder for each index, and in it one for each."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple, Protocol

from index.collection.snapshot_files import SnapshotFolder
from lsr.errors import ConflictError, CorruptionError, NotFoundError
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
        try:
            paths = sorted((self._folder / check_name(index)).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = []
        for path in paths:
            if path.name.startswith("."):
                continue
            try:
                with SnapshotFolder.opened(path) as taken:
                    manifest = taken.manifest
            except (NotFoundError, CorruptionError):
                continue
            entry = SnapshotEntry(path.name, manifest.created, manifest.documents, manifest.bytes)
            found.append(entry)
        return found

    def delete(self, index: str, name: str) -> None:
        """Delete a snapshot; what is left of it where this is cut short is none.

        Raises:
            NotFoundError: there is none.
        """
        path = self.path(index, name)
        gone = path.with_name(f".{name}.deleted")
        shutil.rmtree(gone, ignore_errors=True)
        try:
            path.rename(gone)
        except FileNotFoundError as error:
            raise NotFoundError(f"the index {index!r} has no snapshot {name!r}") from error
        shutil.rmtree(gone)
