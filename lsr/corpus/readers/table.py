"""Tables: what their header says of the columns, and the documents of their rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lsr.corpus.field_names import (
    IDS,
    OTHER_IDS,
    OTHER_TEXTS,
    OTHER_TITLES,
    TEXTS,
    TITLE,
    FieldNames,
    listed,
)
from lsr.errors import InputError

# A cell that is a column's name and hardly ever anything else, and one that may be a text too.
SURE = frozenset((*IDS, *OTHER_IDS, *TEXTS, TITLE, "passage"))
LIKELY = frozenset((*OTHER_TEXTS, *OTHER_TITLES))
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")


@dataclass(frozen=True, slots=True)
class Table:
    """A table's columns, and which of them are id, title and text."""

    columns: Sequence[str]
    names: FieldNames

    @classmethod
    def of(cls, header: Sequence[str], names: FieldNames) -> Table:
        """The table of a header.

        Raises:
            InputError: there is no id or no text among its columns, or one is there twice.
        """
        columns = [name.strip() for name in header]
        seen = f"its columns are {listed(columns)}"
        if len(set(columns)) < len(columns):
            raise InputError(f"a column is there twice: {seen}; rename one")
        # Each column as its own value tells which one is picked.
        picked = names.pick({name: name for name in columns})
        if picked.id is None:
            raise InputError(f"no column is an id: {seen}; name one with --id-field")
        title = "" if picked.title is None else picked.title
        return cls(columns, FieldNames(picked.id, title, tuple(picked.texts)))

    def record(self, cells: Sequence[str]) -> dict[str, Any]:
        """The record of a row; of what becomes metadata, empty cells are left out and plain
        decimal numbers are numbers.

        Raises:
            InputError: it has another number of cells than there are columns.
        """
        if len(cells) != len(self.columns):
            raise InputError(
                f"the row has {len(cells)} cells and the header {len(self.columns)} columns"
            )
        given = dict(zip(self.columns, cells, strict=True))
        own = {self.names.id, self.names.title, *self.names.text}
        return {
            name: cell if name in own else _value(cell)
            for name, cell in given.items()
            if cell or name in own
        }


def is_header(cells: Sequence[str], names: FieldNames) -> bool:
    """Whether a first line that may be a document names columns instead."""
    lower = {cell.strip().lower() for cell in cells}
    asked = {names.id, names.title, *names.text}
    likely = not LIKELY.isdisjoint(lower) and not any(map(str.isdigit, cells[0]))
    return not SURE.isdisjoint(lower) or likely or any(cell.strip() in asked for cell in cells)


def _value(cell: str) -> str | int | float:
    number = NUMBER.fullmatch(cell)
    if number is None:
        return cell
    return float(cell) if number[1] else int(cell)
