"""Items of a source: documents, and the reasons why others are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, BinaryIO

from lsr.corpus.documents import Document, known_id, parse_document
from lsr.corpus.field_names import USUAL, FieldNames
from lsr.corpus.files import LONGEST_LINE, UNREADABLE, unreadable
from lsr.corpus.text_encoding import as_utf8
from lsr.errors import InputError


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a source: a document, or the reason in one sentence why it is none.

    ``line`` is its line in the source, 0 where a whole file is one item. ``id`` is that of an item
    that is no document, where it can be told.
    """

    source: str
    line: int
    document: Document | None
    reason: str = ""
    id: str = ""

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.source}:{self.line}" if self.line else self.source


def given_items(
    documents: Iterable[Document | Mapping[str, Any]], names: FieldNames = USUAL
) -> Iterator[Item]:
    """An item for each document of a program, or JSON object in place of one.

    ``names`` are those of the members of objects.
    """
    for number, given in enumerate(documents, start=1):
        yield given_item(number, given, names)


def given_item(number: int, given: Document | Mapping[str, Any], names: FieldNames = USUAL) -> Item:
    """The item of the ``number``-th document of a program, as ``given_items`` counts them."""
    typed = isinstance(given, Document)
    item = item_of("document", number, partial(_record, given), USUAL if typed else names)
    if isinstance(given, Document) and item.document is not None:
        item = replace(item, document=replace(item.document, sections=given.sections))
    return item


def _record(given: object) -> object:
    if isinstance(given, Document):
        return {name: getattr(given, name) for name in ("id", "text", "title", "metadata")}
    return dict(given) if isinstance(given, Mapping) else given


def lines(raw: BinaryIO, name: str) -> Iterator[tuple[int, str | Item]]:
    """The lines of a text, counted from 1, without a mark (BOM).

    An Item stands in place of each line that can't be read.
    """
    number = 0
    stream = as_utf8(raw)
    try:
        while line := stream.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(LONGEST_LINE)
                reason = f"the line is longer than {LONGEST_LINE >> 20} MiB; split the document"
                yield number, Item(name, number, None, reason)
                continue
            try:
                yield number, line.decode()
            except UnicodeDecodeError as error:
                yield number, Item(name, number, None, not_utf8(error.start))
    except UNREADABLE as error:
        reason = f"the file can't be read further: {unreadable(error)}"
        yield number + 1, Item(name, number + 1, None, reason)


def not_utf8(start: int) -> str:
    """What is wrong with a line that holds a byte that is no UTF-8."""
    return (
        f"not UTF-8 at byte {start}; where the whole file is in another encoding, save it as UTF-8"
    )


def item_of(
    source: str, line: int, record: Callable[[], object], names: FieldNames = USUAL
) -> Item:
    """The item of a record: a document, or the reason why it is none."""
    value: object = None
    try:
        value = record()
        return Item(source, line, parse_document(value, names))
    except InputError as error:
        return Item(source, line, None, str(error), known_id(value, names))
