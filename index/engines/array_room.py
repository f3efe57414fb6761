"""Where the large arrays of segments live: in memory of this process, or mapped from a disk.

A mapped array is in a file without a name, which nobody else can change or cut, and all of whose
blocks are there before it is mapped. The system may put its pages aside whenever memory is short.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from errno import EDQUOT, EFBIG, ENOMEM, ENOSPC
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.errors import LsrError, StorageFullError, UsageError

VARIABLE = "LSR_MAPPED_IN"
# Bytes of a page of the large kind: what is smaller gains nothing by a mapping of its own.
LARGE_PAGE = 1 << 21
# Gives so many bytes, all zeros, or raises LsrError.
Room = Callable[[int], NDArray[np.uint8]]


def out_of_memory(size: int | None = None) -> LsrError:
    """What to raise where there is no memory for an index."""
    wanted = "an index" if size is None else f"{size / 1e6:,.0f} MB of an index"
    return LsrError(
        f"there is no memory for {wanted}; have indexes mapped from a disk, with {VARIABLE}=FOLDER "
        "in the environment, or free memory"
    )


def private(size: int) -> NDArray[np.uint8]:
    """Memory of this process, in large pages where the system gives them."""
    if size < LARGE_PAGE:
        return np.zeros(size, dtype=np.uint8)
    try:
        mapped = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise out_of_memory(size) from error
    # Small pages do as well where large ones are refused.
    with suppress(AttributeError, OSError):
        mapped.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(mapped, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class MappedRoom:
    """Arrays mapped from files in a folder, which should be on a disk and not in memory.

    Those of fewer than ``least`` bytes are memory of this process.
    """

    folder: Path
    least: int = LARGE_PAGE

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise UsageError(
                f"indexes can't be mapped in {self.folder}, which is no folder; name one on a "
                f"disk in {VARIABLE}, or as mapped_in"
            )

    def __call__(self, size: int) -> NDArray[np.uint8]:
        """See ``Room``; StorageFullError where the disk has no space for it."""
        if size < max(self.least, 1):
            return private(size)
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                # A page that has no block yet would end the process where the disk is full.
                os.posix_fallocate(file.fileno(), 0, size)
                return np.frombuffer(mmap.mmap(file.fileno(), size), dtype=np.uint8)
        except OSError as error:
            if error.errno == ENOMEM:
                raise out_of_memory(size) from error
            raise _unmapped(self.folder, size, error) from error


def _unmapped(folder: Path, size: int, error: OSError) -> LsrError:
    sentence = (
        f"{size / 1e6:,.0f} MB of an index can't be mapped in {folder} "
        f"({error.strerror or error}); "
    )
    # The last is what a limit on the size of files gives.
    if error.errno in {ENOSPC, EDQUOT, EFBIG}:
        return StorageFullError(sentence + "free space there, or name another folder")
    return LsrError(sentence + "name another folder, on a disk")


def room_in(folder: str | Path | None) -> Room:
    """Where indexes live that are mapped in a folder; None: as the environment says, or nowhere.

    Raises:
        UsageError: there is no such folder.
    """
    named = folder or os.environ.get(VARIABLE)
    return MappedRoom(Path(named)) if named else private
