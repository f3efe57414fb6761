"""Files that commands write: whether they can be, told before the work and not after it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from lsr.errors import UsageError


def output_file(context: click.Context, option: click.Parameter, value: Path | None) -> Path | None:
    """Callback of an option: the path of a file to write, in a folder that is there."""
    return None if value is None else check_output(value, option.opts[0])


def output_file_or_folders(context: click.Context, option: click.Parameter, value: Path) -> Path:
    """The same, in a folder that is there or can be made."""
    return check_output(value, option.opts[0], parents=True)


def check_output(path: Path, option: str, parents: bool = False) -> Path:
    """The path itself, of a file that a command is to write.

    Args:
        path: of the file.
        option: which names it, for messages.
        parents: whether its folders are made where they are missing.

    Raises:
        UsageError: it is a folder, its folder is none or is missing, or may not be written to.
    """
    try:
        return _checked(path, option, parents)
    except OSError as error:
        raise UsageError(f"{option} {str(path)!r} can't be used ({error.strerror})") from error


def check_folder(path: Path, option: str) -> Path:
    """The path itself, of a folder that a command writes into; made where it is missing.

    Raises:
        UsageError: it is no folder, can't be made, or may not be written to.
    """
    try:
        return _writable(path, path, option, parents=True)
    except OSError as error:
        raise UsageError(f"{option} {str(path)!r} can't be used ({error.strerror})") from error


def _checked(path: Path, option: str, parents: bool) -> Path:
    if path.is_dir():
        raise UsageError(f"{option} {str(path)!r} is a folder; give the path of a file")
    return _writable(path, path.parent, option, parents)


def _writable(path: Path, folder: Path, option: str, parents: bool) -> Path:
    """The path itself, once it is sure that it, or else its folder, may be written to."""
    while parents and not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.exists():
        raise UsageError(
            f"{option} is {str(path)!r}, but there is no folder {str(folder)!r}; make it first, or "
            "give another path"
        )
    if not folder.is_dir():
        raise UsageError(
            f"{option} is {str(path)!r}, but {str(folder)!r} is no folder; give another path"
        )
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UsageError(
            f"{option} is {str(path)!r}, where nothing may be written; give another path"
        )
    return path
