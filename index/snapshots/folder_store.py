"""Snapshots published in a folder, on a disk or a network mount."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from index.collection.snapshot_files import MANIFEST, SnapshotFolder
from lsr.errors import NotFoundError, UnavailableError, UsageError


class FolderStore:
    """A folder of collections' folders of snapshots; or of the snapshots of one collection, which
    has the folder's name then.

    Args:
        folder: which; it need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._given = folder.absolute(), folder

    def collections(self) -> list[str]:
        """See ``SnapshotStore``."""
        names = sorted(path.name for path in _folders(self._folder))
        return [self._folder.name] if self._is_of_one() else names

    def names(self, collection: str) -> list[str]:
        """See ``SnapshotStore``."""
        return sorted(path.name for path in _folders(self._of(collection), may_lack=True))

    def opened(self, collection: str, name: str) -> AbstractContextManager[SnapshotFolder]:
        """See ``SnapshotStore``."""
        return SnapshotFolder.opened(self._of(collection) / name)

    @contextmanager
    def placing(self, collection: str, name: str) -> Iterator[Path]:
        """See ``SnapshotStore``: a path here, under which ``snapshot`` has it appear whole."""
        folder = self._of(collection)
        if folder != self._folder and self._is_of_one():
            raise UsageError(
                f"{self._folder} holds the snapshots of {self._folder.name!r} itself; publish "
                "others into the folder above it"
            )
        yield folder / name

    def delete(self, collection: str, name: str) -> None:
        """See ``SnapshotStore``; what is left where this is cut short is hidden, and none."""
        path = self._of(collection) / name
        gone = path.with_name(f".{name}.deleted")
        shutil.rmtree(gone, ignore_errors=True)
        try:
            path.rename(gone)
        except FileNotFoundError as error:
            raise NotFoundError(f"the index {collection!r} has no snapshot {name!r}") from error
        shutil.rmtree(gone)

    def abandoned(self, collection: str) -> list[str]:
        """None: what a killed process leaves is hidden, and another's to look at."""
        return []

    def place(self, collection: str, name: str) -> str:
        """See ``SnapshotStore``."""
        is_own = self._of(collection) == self._folder
        return str(self._given / name if is_own else self._given / collection / name)

    def _is_of_one(self) -> bool:
        folders = _folders(self._folder, may_lack=True)
        own = [path for path in folders if (path / MANIFEST).is_file()]
        # One that was laid beside the collections' folders by mistake hides none of these.
        others = (each for path in folders if own for each in path.glob(f"[!.]*/{MANIFEST}"))
        return bool(own) and next(others, None) is None

    def _of(self, collection: str) -> Path:
        is_own = collection == self._folder.name and self._is_of_one()
        return self._folder if is_own else self._folder / collection


def _folders(path: Path, may_lack: bool = False) -> list[Path]:
    """The folders in one that aren't hidden; none where it may lack and does.

    Raises:
        UnavailableError: it can't be read.
    """
    try:
        return [each for each in path.iterdir() if each.name[0] != "." and each.is_dir()]
    except OSError as error:
        if may_lack and isinstance(error, FileNotFoundError | NotADirectoryError):
            return []
        raise UnavailableError(
            f"the snapshots in {path} can't be read ({error.strerror}); see that the folder is "
            "there, or mounted"
        ) from error
