"""Tables of results: their columns, and the formats that papers, pages and programs take."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.cell import TEXTS
from eval.costs import OVER_BM25
from eval.results import Results
from eval.suite_significance import Significance

# Key, heading and decimals of each cost, but for the stages.
COSTS = (
    ("ms_per_query", "ms/query", 2),
    ("query_nonzeros", "q nnz", 1),
    ("document_nonzeros", "d nnz", 1),
    ("flops", "FLOPS", 2),
    ("bytes_per_document", "B/doc", 0),
    ("documents_per_second", "docs/s", 0),
    ("ms_p50", "p50 ms", 2),
    ("ms_p99", "p99 ms", 2),
    (OVER_BM25, "x BM25", 2),
)
ALWAYS = ("ms_per_query",)
# Of a stage of the search: the mean time of it.
STAGE = "ms_"


@dataclass(frozen=True)
class Column:
    """A column: its key in each row, its heading for people, and decimals; None: it has texts."""

    key: str
    heading: str
    decimals: int | None = None

    def text(self, value: object) -> str:
        """What people read; empty where there is no value."""
        if value is None:
            return ""
        if self.decimals is not None and isinstance(value, int | float):
            return f"{value:,.{self.decimals}f}"
        # What breaks lines or is not to be seen would break the table.
        return "".join(letter if letter.isprintable() else " " for letter in str(value))


@dataclass(frozen=True)
class Table:
    """Columns, and rows that have a value by key, or none."""

    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]

    @classmethod
    def of_results(
        cls, results: Results, costs: bool = False, tested: Significance | None = None
    ) -> Table:
        """Measures, averages and ``ms/query`` of each system, or with ``costs`` all that is known.

        Costs that no row has get no column. Where systems were ``tested``, the column after the
        first measure says which others a system is better than.
        """
        rows = results.rows()
        marks: Sequence[Column] = ()
        if tested is not None and tested.pairs:
            marks = (Column("letter", ""), Column("better", tested.heading))
            places = {id(cell): place for place, cell in enumerate(results)}
            for row, shown in zip(rows, results.shown(), strict=True):
                place = places.get(id(shown), -1)
                row["letter"] = tested.letters.get(place, "")
                row["better"] = tested.better.get(place, "")
        measures = dict.fromkeys(name for row in results for name in row.measures)
        stages = dict.fromkeys(key for row in results for key in row.costs if key.startswith(STAGE))
        known = [Column(*each) for each in COSTS]
        keys = {each.key for each in known}
        known += [
            Column(key, f"{key.removeprefix(STAGE)} ms", 2) for key in stages if key not in keys
        ]
        chosen = [each for each in known if costs or each.key in ALWAYS]
        first, *others = (Column(name, name, 4) for name in measures)
        return cls(
            [
                *marks[: 1 if tested and any(tested.letters.values()) else 0],
                *(Column(name, name) for name in TEXTS),
                first,
                *marks[1:],
                *others,
                *(each for each in chosen if any(each.key in row for row in rows)),
            ],
            rows,
        )

    @classmethod
    def of_run(cls, dataset: str, run: str, measures: Mapping[str, float]) -> Table:
        """The measures of a run from a file."""
        texts = [Column("run", "run"), Column("dataset", "dataset")]
        row = {"run": run, "dataset": dataset, **measures}
        return cls([*texts, *(Column(name, name, 4) for name in measures)], [row])

    def texts(self) -> list[list[str]]:
        """What people read, row by row, without the headings."""
        return [[each.text(row.get(each.key)) for each in self.columns] for row in self.rows]


def as_csv(table: Table) -> str:
    """Comma-separated values below the keys of the columns; numbers in full."""
    keys = [each.key for each in table.columns]
    values = ([row.get(key) for key in keys] for row in table.rows)
    return csv_text([keys, *values])


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated values as of RFC 4180, with the line ends of Unix; None is empty."""
    lines = []
    for row in rows:
        stream = io.StringIO()
        # Its line end is what makes it quote a carriage return.
        csv.writer(stream, lineterminator="\r\n").writerow(row)
        lines.append(stream.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines)


def as_markdown(table: Table) -> str:
    """A table of GitHub's Markdown; numbers stand right."""
    rules = ["---" if each.decimals is None else "---:" for each in table.columns]
    rows = [[each.heading for each in table.columns], *table.texts()]
    lines = ["| " + " | ".join(map(_in_markdown, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join(rules) + "|", *lines[1:]]) + "\n"


def as_latex(table: Table) -> str:
    r"""A ``tabular`` with the rules of the package booktabs; numbers stand right."""
    kinds = "".join("l" if each.decimals is None else "r" for each in table.columns)
    head, *rows = (
        " & ".join(map(_in_latex, row)) + r" \\"
        for row in [[each.heading for each in table.columns], *table.texts()]
    )
    return "\n".join(
        [
            "% \\usepackage{booktabs}",
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            head,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


WRITERS = {"csv": as_csv, "markdown": as_markdown, "latex": as_latex}
_SPECIAL = re.compile(r"[\\`*_\[\]<>|~&]")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{letter: "\\" + letter for letter in "&%$#_{}"},
}


def _in_markdown(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)


def _in_latex(text: str) -> str:
    escaped = "".join(_LATEX.get(letter, letter) for letter in text)
    # A row that begins so would be an argument of the line break before it.
    return "{" + escaped + "}" if escaped.startswith(("[", "*")) else escaped
