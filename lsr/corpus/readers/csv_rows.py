"""Documents from comma-separated values, with a header; also with semicolons, tabs or bars."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import BinaryIO

from lsr.corpus import files
from lsr.corpus.field_names import USUAL, FieldNames
from lsr.corpus.files import UNREADABLE, unreadable
from lsr.corpus.items import Item, item_of, not_utf8
from lsr.corpus.readers.table import Table
from lsr.corpus.text_encoding import as_utf8
from lsr.errors import InputError

DELIMITERS = ",;\t|"
# What spreadsheets write above the header.
DECLARED = "sep="
NO_DELIMITERS = '"\r\n\0'


def read_csv(
    stream: BinaryIO, name: str, names: FieldNames = USUAL, columns: Sequence[str] = ()
) -> Iterator[Item]:
    """An item for each row; the arguments are those of ``read_tsv``."""
    text = _Lines(as_utf8(stream))
    # A cell may be as long as a line elsewhere.
    csv.field_size_limit(files.LONGEST_LINE)
    try:
        first, delimiters = _first_line(text)
        if not first:
            return
        table, delimiter = _table(first, delimiters, names, columns)
    except UNREADABLE as error:
        yield Item(
            name, text.number + 1, None, f"the file can't be read further: {unreadable(error)}"
        )
        return
    except InputError as error:
        reason = f"the header of this file isn't understood: {error}"
        hint = "" if columns else "; if it has no header, name its columns with --columns"
        yield Item(name, text.number, None, reason + hint)
        return
    given = chain([first] if columns else [], text)
    rows = csv.reader(given, delimiter=delimiter, strict=True)
    begin = text.number - bool(columns)
    while True:
        number = begin + rows.line_num + 1
        try:
            row = next(rows, None)
            reason = text.cut()
        except csv.Error as error:
            reason = text.cut() or f"no row of a table: {error}"
        except UNREADABLE as error:
            yield Item(name, number, None, f"the file can't be read further: {unreadable(error)}")
            return
        if reason:
            yield Item(name, number, None, reason)
        elif row is None:
            return
        elif any(cell.strip() for cell in row):
            yield item_of(name, number, partial(_record, table, row), table.names)


def _first_line(text: _Lines) -> tuple[str, str]:
    """The first line of a table that is not blank, and what may be between its cells."""
    first = next((line for line in text if line.strip()), "")
    delimiters = DELIMITERS
    if first.lower().startswith(DECLARED):
        declared = first[len(DECLARED) : len(DECLARED) + 1]
        delimiters = declared if declared and declared not in NO_DELIMITERS else DELIMITERS
        first = next(text, "")
    if reason := text.cut():
        raise InputError(reason)
    return first, delimiters


def _table(
    first: str, delimiters: str, names: FieldNames, columns: Sequence[str]
) -> tuple[Table, str]:
    """The table, and what is between its cells: what makes a header that is understood."""
    try:
        headers = {
            delimiter: next(csv.reader([first], delimiter=delimiter)) for delimiter in delimiters
        }
    except csv.Error as error:
        raise InputError(str(error)) from None
    likely = max(headers, key=lambda delimiter: len(headers[delimiter]))
    if columns:
        return Table.of(columns, names), likely
    for delimiter, header in headers.items():
        try:
            return Table.of(header, names), delimiter
        except InputError:
            continue
    return Table.of(headers[likely], names), likely


def _record(table: Table, row: list[str]) -> object:
    for cell in row:
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            raise InputError(not_utf8(error.start)) from None
    return table.record(row)


class _Lines:
    """The lines of a stream; bytes that are no UTF-8 become halves of surrogate pairs.

    ``number`` is that of the last one, counted from 1.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._cut = False
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = rest = self._stream.readline(files.LONGEST_LINE)
        if not line:
            raise StopIteration
        while len(rest) == files.LONGEST_LINE and not rest.endswith(b"\n"):
            rest = self._stream.readline(files.LONGEST_LINE)
            self._cut |= bool(rest)
        self.number += 1
        return line.decode(errors="surrogateescape")

    def cut(self) -> str:
        """What is wrong with the lines since this was asked, where one was too long."""
        cut, self._cut = self._cut, False
        longest = files.LONGEST_LINE >> 20
        return f"the line is longer than {longest} MiB; split the document" if cut else ""
