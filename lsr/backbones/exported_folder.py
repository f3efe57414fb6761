"""Folders that an encoder is exported to: whole, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from lsr import whole_folder
from lsr.errors import UsageError


@contextmanager
def appearing(folder: Path, mark: str) -> Iterator[Path]:
    """A folder to fill, which gets its name when the block ends without an error.

    It takes the place of an earlier one, which is known by its file ``mark``.

    Raises:
        UsageError: what is there is not empty and has no such file, or the parent does not exist.
    """
    empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not empty and not (folder / mark).is_file():
        raise UsageError(
            f"{folder} holds something other than an exported encoder; give a folder that does not "
            "exist, or one that was exported before"
        )
    if not folder.parent.is_dir():
        raise UsageError(f"the folder {folder.parent} does not exist; create it first")
    with whole_folder.appearing(folder, replace=True) as new:
        yield new


def copy_files(
    source: Path, target: Path, patterns: Sequence[str], without: Sequence[str] = ()
) -> None:
    """Copy the files of a model whose names fit a pattern, at any depth, into a folder.

    ``without`` are patterns of paths, from ``source``, that are left out.
    """
    found = {path for pattern in patterns for path in source.rglob(pattern) if path.is_file()}
    for path in sorted(found):
        place = path.relative_to(source)
        if not any(fnmatch(place.as_posix(), each) for each in without):
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / place)
