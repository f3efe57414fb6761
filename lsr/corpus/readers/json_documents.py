"""Documents from JSON: an object a line, an array of objects, or objects over several lines."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import BinaryIO

from lsr.corpus import files
from lsr.corpus.field_names import USUAL, FieldNames
from lsr.corpus.files import UNREADABLE, unreadable
from lsr.corpus.items import Item, item_of, lines
from lsr.corpus.json_values import parse_json
from lsr.corpus.text_encoding import as_utf8, byte_parts, byte_stream
from lsr.errors import InputError

CHUNK = 1 << 16
# The longest beginning of a file that is looked at to see how its objects are written.
LONGEST_HEAD = 1 << 20
LINES_LOOKED_AT = 10
# How far before the end of what was read an error may come of a value that is cut there.
CUT = 16
WHITE = " \t\r\n"
Value = Callable[[], object]


def read_json_documents(
    stream: BinaryIO, name: str, names: FieldNames = USUAL, only_id: str = ""
) -> Iterator[Item]:
    """An item for each object of a file.

    Args:
        stream: its bytes.
        name: what it is called in messages.
        names: of the objects' members.
        only_id: the id of an object that has none, where it is the only one.
    """
    values = _values(stream, name)
    head = list(islice(values, 2 if only_id else 0))
    alone = only_id if len(head) == 1 else ""
    for number, value in chain(head, values):
        if isinstance(value, Item):
            yield value
        else:
            yield item_of(name, number, partial(_record, value, names, alone), names)


def _record(value: Value, names: FieldNames, identifier: str) -> object:
    record = value()
    if identifier and isinstance(record, dict) and names.identifier(record) is None:
        names.pick(record)  # Its complaint names the keys that are there, without this one.
        return record | {names.id or "_id": identifier}
    return record


def _values(raw: BinaryIO, name: str) -> Iterator[tuple[int, Value | Item]]:
    """What makes each value, with the line it begins on."""
    stream = as_utf8(raw)
    head = b""
    try:
        while len(head) < LONGEST_HEAD and (part := stream.read1(CHUNK)):
            head += part
            if _is_object_a_line(head, whole=False):
                break
    except UNREADABLE as error:
        yield 1, Item(name, 1, None, f"the file can't be read further: {unreadable(error)}")
        return
    whole = byte_stream(chain([head], byte_parts(stream)))
    if not _is_object_a_line(head, whole=len(head) < LONGEST_HEAD):
        yield from _spread_values(whole, name)
        return
    for number, line in lines(whole, name):
        if isinstance(line, Item):
            yield number, line
        elif line.strip():
            yield number, partial(parse_json, line)


def _is_object_a_line(head: bytes, whole: bool) -> bool:
    """Whether one of the first lines is an object; of a longer line its beginning decides.

    From the third line on, one that is indented may be a part of a larger object.
    """
    given = head.split(b"\n")
    if not whole:
        given.pop()
    given = [line for line in given if line.strip()][:LINES_LOOKED_AT]
    if not given:
        return len(head) >= LONGEST_HEAD and head.lstrip().startswith(b"{")
    if given[0].lstrip().startswith(b"[") and _kind(given[0]) is None:
        return False
    outer = given[:2] + [line for line in given[2:] if not line[:1].isspace()]
    return any(_kind(line) is dict for line in outer)


def _kind(line: bytes) -> type | None:
    """The kind of value that a line is, None where it is none."""
    try:
        return type(json.loads(line))
    except (ValueError, RecursionError):
        return None


def _spread_values(stream: BinaryIO, name: str) -> Iterator[tuple[int, Value | Item]]:
    """The values of a text in which they may be in an array, and each over several lines."""
    text = _Text(stream)
    inside = False
    try:
        while letter := text.next_letter():
            if letter in (",", "]" if inside else "["):
                inside = inside if letter == "," else not inside
                text.pass_by(1)
                continue
            number = text.line
            yield number, partial(parse_json, text.value())
        if inside:
            reason = "the array isn't closed, so the file is cut off here"
            yield text.line, Item(name, text.line, None, reason)
    except (InputError, *UNREADABLE) as error:
        said = str(error) if isinstance(error, InputError) else unreadable(error)
        reason = f"{said}; what follows in this file is not read"
        yield text.line, Item(name, text.line, None, reason)


class _Text:
    """A window on a text of JSON values that moves on."""

    def __init__(self, stream: BinaryIO) -> None:
        # A byte that is no UTF-8 becomes half of a surrogate pair, which no document may hold.
        self._source = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="")
        self._window, self._at, self._ended = "", 0, False
        # Finds where a value ends; what it is, is found out later.
        self._decoder = json.JSONDecoder(parse_int=len)
        self.line = 1

    def next_letter(self) -> str:
        """The next letter that is no white space; empty at the end."""
        while True:
            start = self._at
            while self._at < len(self._window) and self._window[self._at] in WHITE:
                self._at += 1
            self.line += self._window.count("\n", start, self._at)
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._read_on():
                return ""

    def pass_by(self, letters: int) -> str:
        """Go on; returns what is passed."""
        passed = self._window[self._at : self._at + letters]
        self._at += letters
        self.line += passed.count("\n")
        return passed

    def value(self) -> str:
        """The JSON of the value that begins here.

        Raises:
            InputError: it is no JSON, too long or nested too deeply.
        """
        while True:
            try:
                value, end = self._decoder.raw_decode(self._window, self._at)
                if isinstance(value, dict | list | str) or end < len(self._window) - CUT:
                    return self.pass_by(end - self._at)
                if not self._read_on():
                    return self.pass_by(end - self._at)
            except RecursionError:
                raise InputError("the JSON is nested too deeply") from None
            except json.JSONDecodeError as error:
                right = error.pos - self._at
                cut = error.pos > len(self._window) - CUT or "Unterminated" in error.msg
                if not (cut and self._read_on()):
                    self.pass_by(right)
                    raise InputError(f"not valid JSON: {error.msg}") from None

    def _read_on(self) -> bool:
        """Read as much again as there is; whether there was more."""
        self._window, self._at = self._window[self._at :], 0
        if len(self._window) > files.LONGEST_LINE:
            raise InputError(f"a value is longer than {files.LONGEST_LINE >> 20} MiB")
        more = "" if self._ended else self._source.read(max(CHUNK, len(self._window)))
        self._ended = not more
        self._window += more
        return bool(more)
