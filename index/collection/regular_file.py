"""Opening files that someone else may have put there: plain files only, and no links."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class NotPlainFileError(OSError):
    """Something is there that is no plain file."""


def open_plain(path: Path | str, flags: int = os.O_RDONLY, folder: int | None = None) -> int:
    """A descriptor of a plain file; it neither follows a link nor waits for a pipe or device.

    Args:
        path: the file; of links only the last part is refused, folders may be links.
        flags: as of ``os.open``; a file that they create is readable by all.
        folder: descriptor of the folder that a relative ``path`` is in; None: the working folder.

    Raises:
        NotPlainFileError: it is a link, a folder, a pipe, a socket or a device.
        OSError: it can't be opened.
    """
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, 0o644, dir_fd=folder)
    except OSError as error:
        if _is_plain(path, folder):
            raise
        raise NotPlainFileError(f"{path} is a link or no plain file") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotPlainFileError(f"{path} is no plain file")
    return handle


def _is_plain(path: Path | str, folder: int | None) -> bool:
    """Whether a plain file, or nothing that can be looked at, has this path."""
    try:
        return stat.S_ISREG(os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return True
