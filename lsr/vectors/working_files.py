"""The files that a writer fills before the file of vectors is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from lsr.errors import CorruptionError

COPIED_AT_A_TIME = 1 << 20
Number = TypeVar("Number", bound=np.generic)


class WorkingFiles:
    """Named files in a folder, which only grow.

    Args:
        folder: made where it is missing.
        sizes: bytes of each file that are kept; what was written after them is cut off. A file
            that is not named begins empty.
    """

    def __init__(self, folder: Path, sizes: Mapping[str, int] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._kept = sizes or {}
        self._files: dict[str, BinaryIO] = {}

    def append(self, name: str, data: bytes | NDArray[np.generic]) -> None:
        """Write at the end of a file."""
        self._open(name).write(data.tobytes() if isinstance(data, np.ndarray) else data)

    def sync(self) -> dict[str, int]:
        """Bring all to disk; returns the bytes of each file."""
        sizes = dict(self._kept)
        for name, file in self._files.items():
            file.flush()
            os.fsync(file.fileno())
            sizes[name] = file.tell()
        return sizes

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return self._open(name).tell()

    def read(self, name: str, kind: type[Number], start: int, count: int) -> NDArray[Number]:
        """Numbers of a file of numbers, from place ``start``."""
        self._open(name).flush()
        offset = start * np.dtype(kind).itemsize
        return np.fromfile(self._path(name), kind, count, offset=offset)

    def copy(self, name: str, target: BinaryIO) -> None:
        """Write all of a file to ``target``."""
        self._open(name).flush()
        with self._path(name).open("rb") as source:
            shutil.copyfileobj(source, target, COPIED_AT_A_TIME)

    def close(self) -> None:
        """Close the files, which stay."""
        for file in self._files.values():
            file.close()
        self._files = {}

    def _open(self, name: str) -> BinaryIO:
        if name not in self._files:
            path = self._path(name)
            path.touch()
            kept = self._kept.get(name, 0)
            if path.stat().st_size < kept:
                raise CorruptionError(
                    f"{path} is shorter than the {kept} bytes that were written to it; delete the "
                    f"folder {self.folder} and start again"
                )
            os.truncate(path, kept)
            self._files[name] = path.open("ab")
        return self._files[name]

    def _path(self, name: str) -> Path:
        return self.folder / name
