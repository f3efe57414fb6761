"""Files, plain, .gz or .xz: opened, counted, and read line by line."""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from lsr.corpus.text_encoding import as_utf8
from lsr.errors import InputError

LONGEST_LINE = 64 << 20
UNPACK: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
UNREADABLE = (EOFError, OSError, zlib.error, lzma.LZMAError)


def unreadable(error: Exception) -> str:
    """What one of ``UNREADABLE`` says, without the marks of the program that raised it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).partition(" (b'")[0] or "it is cut off"


@contextmanager
def open_counted(path: Path, on_read: Callable[[int], None]) -> Iterator[BinaryIO]:
    """A file's bytes, of a .gz or .xz those it was made of; tells how many are read from disk."""
    with path.open("rb") as raw:
        stream: BinaryIO = io.BufferedReader(_CountingReader(raw, on_read), 1 << 18)
        unpack = UNPACK.get(path.suffix.lower())
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
    """The ending of a file's name that tells its kind, in lower case: where it is packed, the one
    before .gz or .xz.
    """
    packed = path.suffix.lower() in UNPACK
    return (path.with_suffix("").suffix if packed else path.suffix).lower()


def beir_file(folder: Path, name: str) -> Path | None:
    """``name``, ``name.gz`` or ``name.xz`` in a BEIR folder."""
    for path in (folder / f"{name}{ending}" for ending in ("", *UNPACK)):
        if path.is_file():
            return path
    return None


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file, plain, .gz or .xz, counted from 1, without a mark (BOM).

    Raises:
        InputError: a line is no text or longer than 64 MiB, or the file is damaged.
    """
    number = 0
    with open_counted(path, lambda read: None) as raw:
        stream = as_utf8(raw)
        try:
            while line := stream.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    longest = LONGEST_LINE >> 20
                    raise InputError(f"{path}:{number}: the line is longer than {longest} MiB")
                yield number, line.decode()
        except UnicodeDecodeError as error:
            reason = f"the file can't be read further: not UTF-8 at byte {error.start}"
            raise InputError(f"{path}:{number}: {reason}") from error
        except UNREADABLE as error:
            reason = f"the file can't be read further: {unreadable(error)}"
            raise InputError(f"{path}:{number + 1}: {reason}") from error
