"""Documents from tab-separated lines: columns as a header says, or id, (title,) text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import BinaryIO

from lsr.corpus.field_names import USUAL, FieldNames
from lsr.corpus.items import Item, item_of, lines
from lsr.corpus.readers.table import Table, is_header
from lsr.errors import InputError

WITHOUT_HEADER = {2: ("id", "text"), 3: ("id", "title", "text")}
# Rows that are looked at to see whether the last two of three columns are in another order.
LOOKED_AT = 100
LONG = 60


def read_tsv(
    stream: BinaryIO, name: str, names: FieldNames = USUAL, columns: Sequence[str] = ()
) -> Iterator[Item]:
    """An item for each line that is not blank and does not name the columns.

    Under a header, a cell in quotes is read as programs write them that quote: without the outer
    ones, the doubled ones single.

    Args:
        stream: its bytes.
        name: what it is called in messages.
        names: of the columns.
        columns: their names where the file has no header.
    """
    rows = (
        (number, line if isinstance(line, Item) else line.rstrip("\r\n").split("\t"))
        for number, line in lines(stream, name)
        if isinstance(line, Item) or line.strip()
    )
    head = list(islice(rows, LOOKED_AT))
    first = next(
        ((place, row) for place, (_, row) in enumerate(head) if isinstance(row, list)), None
    )
    try:
        table, quoted = None, False
        if columns:
            table = Table.of(columns, names)
        elif first is not None and is_header(first[1], names):
            table, quoted = Table.of(first[1], names), True
            del head[first[0]]
        elif names != USUAL:
            raise InputError("it has no header; name its columns with --columns")
        else:
            _check_order([row for _, row in head if isinstance(row, list)])
    except InputError as error:
        hint = "" if columns else "; if it has no header, name its columns with --columns"
        number = head[first[0]][0] if first else 1
        yield Item(name, number, None, f"the columns of this file aren't understood: {error}{hint}")
        return
    for number, row in chain(head, rows):
        if isinstance(row, Item):
            yield row
        elif table is None:
            yield item_of(name, number, partial(_record, row))
        else:
            cells = [_unquoted(cell) for cell in row] if quoted else row
            yield item_of(name, number, partial(table.record, cells), table.names)


def _record(cells: list[str]) -> object:
    if len(cells) not in WITHOUT_HEADER:
        raise InputError(
            f"the line has {len(cells)} columns; give id and text, or id, title and text, or a "
            "header"
        )
    return dict(zip(WITHOUT_HEADER[len(cells)], cells, strict=True))


def _unquoted(cell: str) -> str:
    inside = cell[1:-1]
    if len(cell) < 2 or not cell.startswith('"') or not cell.endswith('"'):
        return cell
    single = inside.replace('""', "\0")
    return cell if '"' in single else single.replace("\0", '"')


def _check_order(rows: Sequence[list[str]]) -> None:
    """Raise InputError where the second of three columns looks like the text, the third not."""
    three = [row for row in rows if len(row) == 3]
    second, third = (sum(len(row[place]) for row in three) for place in (1, 2))
    if second > LONG * len(three) and second > 2 * third:
        raise InputError(
            "without a header the columns are id, title and text, and here the second is much "
            "longer than the third; say which is which, as with --columns id,text,title"
        )
