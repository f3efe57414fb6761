"""Bytes of text: marks at their beginning (BOM), UTF-8, UTF-16, and older 8-bit encodings."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

from lsr.errors import InputError

# The longest first: UTF-32's mark begins with UTF-16's.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What old files of western Europe are in, Latin-1 with more letters; it takes nearly any bytes.
FALLBACK = "cp1252"
# Control characters that tell that bytes which are no UTF-8 are no old text either.
NO_TEXT = re.compile(r"[\x00-\x07\x0e-\x1a\x1c-\x1f]")
CHUNK = 1 << 16


class Decoded(NamedTuple):
    """A text, and the name of the encoding that its bytes were in."""

    text: str
    encoding: str


def encoding_of(head: bytes) -> tuple[str, int]:
    """The Unicode encoding that the first bytes of a text tell, and the length of their mark.

    Without a mark, zeros among the first letters tell UTF-16; anything else counts as UTF-8.
    """
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding, len(mark)
    zeros = [byte == 0 for byte in head[:4]]
    if zeros == [False, True, False, True]:
        return "utf-16-le", 0
    if zeros == [True, False, True, False]:
        return "utf-16-be", 0
    return "utf-8", 0


def decode_text(data: bytes, declared: str | None = None, old: bool = True) -> Decoded:
    """The text of a whole file.

    Args:
        data: its bytes.
        declared: the encoding that it says it is in; a mark at its beginning says so louder.
        old: whether what is no UTF-8 is taken for an older encoding.

    Raises:
        InputError: it is no text.
    """
    encoding, mark = encoding_of(data[:4])
    if encoding == "utf-8" and not mark and declared and _is_known(declared):
        encoding = declared
    try:
        decoded = Decoded(data[mark:].decode(encoding), encoding)
    except UnicodeDecodeError as error:
        if mark or encoding.startswith("utf-16") or not old:
            raise InputError(f"it is no {encoding} at byte {error.start}") from None
        older = FALLBACK if "utf" in encoding.lower() else encoding
        decoded = Decoded(data.decode(older, errors="replace"), older)
        if NO_TEXT.search(decoded.text):
            raise InputError(
                "it is no text: neither UTF-8 nor free of control characters"
            ) from None
    if "\0" in decoded.text:
        raise InputError("it is no text: it holds zero bytes")
    return decoded


def _is_known(encoding: str) -> bool:
    try:
        b"x".decode(encoding)
    except (LookupError, ValueError):
        return False
    return True


def as_utf8(stream: BinaryIO) -> io.BufferedReader:
    """A stream of text as UTF-8 without a mark, whatever Unicode encoding it begins with.

    What can't be decoded comes out as bytes that are no UTF-8, so that it spoils its line only.
    """
    return byte_stream(_utf8_parts(stream))


def byte_stream(parts: Iterator[bytes]) -> io.BufferedReader:
    """A stream of bytes that come in parts."""
    return io.BufferedReader(_PartsReader(parts), CHUNK)


def byte_parts(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes of a stream as they come."""
    read = getattr(stream, "read1", stream.read)
    while part := read(CHUNK):
        yield part


class _PartsReader(io.RawIOBase):
    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._waiting = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._waiting:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._waiting = memoryview(part)
        size = min(len(buffer), len(self._waiting))
        buffer[:size] = self._waiting[:size]
        self._waiting = self._waiting[size:]
        return size


def _utf8_parts(stream: BinaryIO) -> Iterator[bytes]:
    parts = byte_parts(stream)
    head = b""
    while len(head) < 4 and (part := next(parts, None)):
        head += part
    encoding, mark = encoding_of(head[:4])
    parts = chain([head[mark:]], parts)
    if encoding == "utf-8":
        yield from parts
        return
    decoder = codecs.getincrementaldecoder(encoding)(errors="surrogatepass")
    try:
        for part in parts:
            yield decoder.decode(part).encode(errors="surrogatepass")
        yield decoder.decode(b"", final=True).encode(errors="surrogatepass")
    except UnicodeDecodeError:
        yield b"\xff"
