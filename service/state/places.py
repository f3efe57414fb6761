"""Where what isn't served lies in a folder of collections: what is being made, what is deleted."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lsr.errors import LsrError, UsageError
from lsr.whole_folder import exchange, flush_folder
from service.state.database import FOLDER

LONGEST_NAME = 128  # bytes
FORBIDDEN = '/\\*?[]{}<>|,"'
# For which a deleted folder keeps its files: by then every process has let go of them, so that no
# new file is mistaken for one of them by its number.
DELETED_SECONDS = 10.0
# After which what was to be a new collection is left of a killed process.
ABANDONED_SECONDS = 3600.0


def check_name(name: str, what: str = "an index") -> str:
    """The name of an index, alias or snapshot, which is a folder's too.

    Raises:
        UsageError: it can't be one.
    """
    if (
        not 0 < len(name.encode("utf-8", "replace")) <= LONGEST_NAME
        or not name.isprintable()
        or name.strip() != name
        or name.startswith(".")
        or any(each in FORBIDDEN for each in name)
        # What was no UTF-8 in an address.
        or "\ufffd" in name
    ):
        raise UsageError(
            f"{name[:LONGEST_NAME]!r} can't be the name of {what}; allowed are up to "
            f"{LONGEST_NAME} bytes of printable characters but {' '.join(FORBIDDEN)}, that don't "
            "begin with a dot and have no space at either end"
        )
    return name


class Places:
    """The hidden folder in a folder of collections; all in it can be renamed into that one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hidden = folder / FOLDER

    @property
    def snapshots(self) -> Path:
        """Where snapshots go unless another folder was named."""
        return self._hidden / "snapshots"

    def building(self, task: str) -> Path:
        """The folder of what a task makes, which outlives the process that is at it."""
        return self._made(f"building/{task}")

    def is_building(self, task: str) -> bool:
        """Whether a task has such a folder."""
        return (self._hidden / "building" / task).is_dir()

    def built(self, task: str) -> None:
        """Remove the folder of a task, with what is left in it."""
        shutil.rmtree(self._hidden / "building" / task, ignore_errors=True)

    @contextmanager
    def creating(self) -> Iterator[Path]:
        """The path of a folder that is to be made inside, and then put elsewhere."""
        folder = self._made(f"creating/{secrets.token_hex(8)}")
        try:
            yield folder / "new"
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def appear(self, made: Path, name: str) -> None:
        """Give a new folder its name, durably.

        Raises:
            OSError: something has that name.
        """
        made.rename(self.folder / name)
        flush_folder(self.folder)
        flush_folder(made.parent)

    def replace(self, made: Path, name: str) -> None:
        """Give a new folder the name of another, durably and in one instant; that one is deleted.

        Raises:
            UsageError: the file system can't.
        """
        try:
            exchange(made, self.folder / name)
        except OSError as error:
            raise UsageError(
                f"the file system of {self.folder} can't exchange two folders ({error.strerror}); "
                "restore to a new name and point an alias at it"
            ) from error
        with suppress(OSError):
            self._to_deleted(made, name)

    def delete(self, name: str) -> None:
        """Have a folder disappear, durably and in one instant; its files go a little later.

        Raises:
            OSError: it can't be renamed.
        """
        self._to_deleted(self.folder / name, name)
        flush_folder(self.folder)

    def remove_leftovers(self) -> None:
        """Remove the files of what was deleted a while ago, and what killed processes left."""
        now = time.time()
        for path in _entries(self._hidden / "deleted"):
            when = path.name.partition("-")[0]
            if not when.isdecimal() or now - int(when) > DELETED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
        for path in _entries(self._hidden / "creating"):
            with suppress(OSError):
                if now - path.stat().st_mtime > ABANDONED_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)

    def _to_deleted(self, path: Path, name: str) -> None:
        place = self._made("deleted") / f"{int(time.time())}-{secrets.token_hex(8)}"
        path.rename(place)

    def _made(self, name: str) -> Path:
        path = self._hidden / name
        try:
            self._hidden.mkdir(mode=0o700, exist_ok=True)
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LsrError(f"{path} can't be made ({error.strerror})") from error
        return path


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
