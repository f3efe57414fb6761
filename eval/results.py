"""Tables of results: their rows, the averages over data sets, and what they look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from eval.cell import RESULTS, Cell, read_json, read_results
from eval.suite_significance import Significance, significance_of
from lsr.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    import pandas

AVERAGE = "average"
# Behind the name of what is turned round (``eval.both_ways``): a data set, a group, an average.
REVERSED = " reversed"
OVER_ALL = AVERAGE, AVERAGE + REVERSED
COLUMNS = ("dataset", "encoder", "using", "engine")


@dataclass(frozen=True)
class Average:
    """The mean over data sets of a system's measures, each data set counting alike.

    ``dataset`` is what was averaged: ``average``, all data sets, or one that is made of several
    parts. ``over`` names what its mean is over, and ``system`` is that of the cells.
    """

    dataset: str
    encoder: str
    using: str
    engine: str
    measures: Mapping[str, float]
    over: Sequence[str]
    system: str = ""

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            **{name: getattr(self, name) for name in COLUMNS},
            "measures": dict(self.measures),
            "over": list(self.over),
            "system": self.system,
        }


class Results(Sequence[Cell]):
    """The cells of one or several data sets, and their averages.

    A sequence of cells, in the order of the data sets, and of each in that of the systems.

    Args:
        cells: the results.
        groups: by data set the one that it is a part of; the others are their own.
        notes: sentences that a reader should know of all.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        groups: Mapping[str, str] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self._cells = tuple(cells)
        self.groups = dict(groups or {})
        self.notes = list(notes)
        # Thousands of rearrangements a pair take a while.
        self._tested: dict[str | None, Significance] = {}

    @overload
    def __getitem__(self, place: int) -> Cell: ...
    @overload
    def __getitem__(self, place: slice) -> Results: ...
    def __getitem__(self, place: int | slice) -> Cell | Results:
        if isinstance(place, slice):
            return Results(self._cells[place], self.groups, self.notes)
        return self._cells[place]

    def __len__(self) -> int:
        return len(self._cells)

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells)

    def tested(self, baseline: str | None = None) -> Significance:
        """Which systems are better than which on each data set, by the first measure.

        Args:
            baseline: as for ``significance_of``.

        Raises:
            UsageError: a data set has no such baseline.
        """
        if baseline not in self._tested:
            measure = next(iter(self._cells[0].measures), "") if self._cells else ""
            self._tested[baseline] = significance_of(self._cells, measure, baseline)
        return self._tested[baseline]

    def parts(self) -> list[Average]:
        """The data sets that are made of several parts, as the mean of these, by system."""
        found = []
        for group in dict.fromkeys(self.groups.values()):
            names = [name for name, of in self.groups.items() if of == group and name != group]
            if names:
                found += self._averages(group, {name: self._of(name) for name in names})
        return found

    def averages(self) -> list[Average]:
        """The mean over all data sets of each system that has been scored on all of them.

        A data set of several parts counts once, and those that are reversed have a mean of their
        own. Empty where there is one data set only.
        """
        parts = self.parts()
        sets: dict[str, dict[str, Cell | Average]] = {}
        for name in dict.fromkeys(cell.dataset for cell in self._cells):
            group = self.groups.get(name, name)
            if group == name:
                sets[name] = dict(self._of(name))
            else:
                sets[group] = {system_key(each): each for each in parts if each.dataset == group}
        turned = {name: each for name, each in sets.items() if name.endswith(REVERSED)}
        others = {name: each for name, each in sets.items() if name not in turned}
        found = []
        for name, alike in zip(OVER_ALL, (others, turned), strict=True):
            found += self._averages(name, alike) if len(alike) > 1 else []
        return found

    def _of(self, dataset: str) -> dict[str, Cell]:
        return {system_key(cell): cell for cell in self._cells if cell.dataset == dataset}

    def _averages(
        self, name: str, sets: Mapping[str, Mapping[str, Cell | Average]]
    ) -> list[Average]:
        first, *others = sets.values()
        found = []
        for system, one in first.items():
            rows = [one, *(each[system] for each in others if system in each)]
            if len(rows) < len(sets):
                continue
            measures = [each for each in one.measures if all(each in row.measures for row in rows)]
            means = {
                each: fsum(row.measures[each] for row in rows) / len(rows) for each in measures
            }
            found.append(
                Average(name, one.encoder, one.using, one.engine, means, list(sets), one.system)
            )
        return found

    def shown(self) -> list[Cell | Average]:
        """What a table shows: cells, those of parts replaced by their mean, then the averages."""
        parts = self.parts()
        rows: list[Cell | Average] = []
        averaged = {each.dataset for each in parts}
        for name in dict.fromkeys(cell.dataset for cell in self._cells):
            group = self.groups.get(name, name)
            if group not in averaged:
                rows += [cell for cell in self._cells if cell.dataset == name]
            elif group not in {row.dataset for row in rows}:
                rows += [each for each in parts if each.dataset == group]
        return rows + list(self.averages())

    def rows(self) -> list[dict[str, Any]]:
        """The table: for each row its data set, encoder, search, engine, measures and costs."""
        return [
            {
                **{name: getattr(row, name) for name in COLUMNS},
                **row.measures,
                **(row.costs if isinstance(row, Cell) else {}),
            }
            for row in self.shown()
        ]

    def to_dict(self) -> dict[str, Any]:
        """The object of ``--json``: ``results``, and where there are several sets ``averages``."""
        averages = [each.to_json() for each in (*self.parts(), *self.averages())]
        found: dict[str, Any] = {"results": [cell.to_json() for cell in self._cells]}
        return found | ({"averages": averages} if averages else {})

    def to_pandas(self) -> pandas.DataFrame:
        """``rows`` as a DataFrame.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingDependencyError("a table of results", "pandas", "pandas") from error
        return pandas.DataFrame(self.rows())

    def _texts(self) -> list[list[str]]:
        rows = self.rows()
        names = list(dict.fromkeys(name for row in rows for name in row))
        return [names, *([_text(row.get(name, "")) for name in names] for row in rows)]

    def __repr__(self) -> str:
        texts = self._texts()
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in texts
        ]
        return "\n".join([*lines, *self.notes])

    def _repr_html_(self) -> str:
        head, *rows = self._texts()
        lines = ["<table>", "<thead>", _html_row("th", head), "</thead>", "<tbody>"]
        lines += [_html_row("td", row) for row in rows]
        notes = [f"<p>{escape(note)}</p>" for note in self.notes]
        return "\n".join([*lines, "</tbody>", "</table>", *notes])


def system_key(row: Cell | Average) -> str:
    """What is the same of a system in the rows of all data sets."""
    return row.system or " ".join((row.encoder, row.using, row.engine))


def read_table(path: Path) -> Results:
    """The results of ``read_results``, with what the file says of data sets of several parts.

    Raises:
        NotFoundError, InputError: as for ``read_results``.
    """
    cells = read_results(path)
    value = read_json(path / RESULTS if path.is_dir() else path)
    groups: dict[str, str] = {}
    try:
        for each in value.get("averages", []):
            if each["dataset"] not in OVER_ALL:
                groups |= {str(part): str(each["dataset"]) for part in each["over"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: 'averages' is malformed ({error!r}); take a file of lsr eval"
        ) from error
    return Results(cells, groups)


def _html_row(tag: str, texts: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts) + "</tr>"


def _text(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
