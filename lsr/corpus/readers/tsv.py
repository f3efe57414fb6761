"""Documents from tab-separated lines: id and text, or id, title and text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from lsr.corpus.items import Item, item_of, lines
from lsr.errors import InputError

# First cells of a line that names the columns.
HEADINGS = ("id", "_id", "docid")


def read_tsv(stream: BinaryIO, name: str) -> Iterator[Item]:
    """An item for each line that is not blank and does not name the columns."""
    for number, line in lines(stream, name):
        if isinstance(line, Item):
            yield line
            continue
        cells = line.rstrip("\r\n").split("\t")
        if line.strip() and not (number == 1 and cells[0].lower() in HEADINGS):
            yield item_of(name, number, partial(_record, cells))


def _record(cells: list[str]) -> object:
    if len(cells) not in (2, 3):
        raise InputError(
            f"the line has {len(cells)} columns; give id and text, or id, title and text"
        )
    return {"id": cells[0], "title": cells[1] if len(cells) == 3 else "", "text": cells[-1]}
