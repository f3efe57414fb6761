"""Files, plain, .gz or .xz: opened, counted, and read line by line."""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from lsr.errors import InputError

LONGEST_LINE = 64 << 20
UNPACK: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
UNREADABLE = (EOFError, OSError, zlib.error, lzma.LZMAError)


@contextmanager
def open_counted(path: Path, on_read: Callable[[int], None]) -> Iterator[BinaryIO]:
    """A file's bytes, of a .gz or .xz those it was made of; tells how many are read from disk."""
    with path.open("rb") as raw:
        stream: BinaryIO = io.BufferedReader(_CountingReader(raw, on_read), 1 << 18)
        unpack = UNPACK.get(path.suffix)
        yield cast(BinaryIO, unpack(stream)) if unpack else stream


class _CountingReader(io.RawIOBase):
    """Passes bytes through and tells how many."""

    def __init__(self, raw: BinaryIO, on_read: Callable[[int], None]) -> None:
        self._raw = raw
        self._on_read = on_read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._raw.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self._on_read(len(chunk))
        return len(chunk)


def user_path(name: str) -> Path:
    """The path of that name, ``~`` and ``~user`` replaced where there is such a user."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def suffix_within(path: Path) -> str:
    """The ending of a file's name that tells its kind: the one before .gz or .xz, where it has."""
    return path.with_suffix("").suffix if path.suffix in UNPACK else path.suffix


def beir_file(folder: Path, name: str) -> Path | None:
    """``name``, ``name.gz`` or ``name.xz`` in a BEIR folder."""
    for path in (folder / f"{name}{ending}" for ending in ("", *UNPACK)):
        if path.is_file():
            return path
    return None


def open_text(path: Path) -> IO[str]:
    """A text file, plain, .gz or .xz, as UTF-8."""
    if unpack := UNPACK.get(path.suffix):
        return cast(IO[str], unpack(path, "rt", encoding="utf-8", newline=""))
    return path.open(encoding="utf-8", newline="")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file, plain, .gz or .xz, counted from 1.

    Raises:
        InputError: the file is not UTF-8, or is damaged.
    """
    number = 0
    with open_text(path) as stream:
        try:
            for number, line in enumerate(stream, start=1):
                yield number, line
        except (UnicodeDecodeError, *UNREADABLE) as error:
            raise InputError(
                f"{path}:{number + 1}: the file can't be read further: {error}"
            ) from error
