"""Documents from JSON lines: an object a line."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from lsr.corpus.items import Item, item_of, lines
from lsr.corpus.json_values import parse_json


def read_json_lines(stream: BinaryIO, name: str) -> Iterator[Item]:
    """An item for each line that is not blank; ``name`` is the source's, for messages."""
    for number, line in lines(stream, name):
        if isinstance(line, Item):
            yield line
        elif line.strip():
            yield item_of(name, number, partial(parse_json, line))
