"""Folders that appear under their name whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def appearing(
    folder: Path, *, replace: bool = False, parents: bool = False, durable: bool = False
) -> Iterator[Path]:
    """A folder to fill, which gets its name when the block ends without an error.

    A killed process leaves only a hidden folder ``.NAME.*.partial`` beside it.

    Args:
        folder: its path.
        replace: whether it takes the place of what is there, which comes back where that fails.
        parents: whether folders above it are made.
        durable: whether it is flushed to disk before and after it gets its name. What is written
            inside is not: files and inner folders are flushed by who fills it.

    Raises:
        OSError: it can't be made, or something is there that is not to be replaced.
    """
    if parents:
        folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent, ignore_cleanup_errors=True
    ) as place:
        new, old = Path(place, "new"), Path(place, "old")
        new.mkdir()
        yield new
        if durable:
            flush_folder(new)
        if replace and folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
        if durable:
            flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Make a rename in a folder durable."""
    _flush(folder)


def flush_file(path: Path) -> None:
    """Make what a file holds durable."""
    _flush(path)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
