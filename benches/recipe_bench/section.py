"""The section of docs/training.md that the bench writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lsr.errors import NotFoundError, UsageError

BEGIN, END = "<!-- recipe: begin -->", "<!-- recipe: end -->"


def replace_section(path: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Put the text between the markers of a file.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it has not both markers, once, in their order.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {str(path)!r} to write the section into")
    before, begun, rest = path.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended) or begin in rest or end in after:
        raise UsageError(f"{path} needs one line {begin} and, below it, one line {end}")
    path.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is words and whose others are numbers."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def section(*arguments: Any) -> Any: ...
