"""The results of a bench as a table, as JSON and as a plot."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

# Of a table that goes to a file.
WIDTH = 220


def write_json(target: str, report: Mapping[str, Any]) -> None:
    """One object, to a file or (``-``) to standard output."""
    text = json.dumps(report, indent=1) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        Path(target).write_text(text)


def print_table(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], to_stderr: bool
) -> None:
    """Rows under the headings of ``columns``; a row marked ``best`` is bold."""
    table = Table(box=None, pad_edge=False)
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = ["" if row[key] is None else _cell(row[key]) for key in columns]
        table.add_row(*cells, style="bold" if row.get("best") else None)
    wide = None if sys.stdout.isatty() else WIDTH
    Console(stderr=to_stderr, width=wide, highlight=False).print(table)


def publish(report: Mapping[str, Any], columns: Mapping[str, str], target: str | None) -> None:
    """The report's rows as a table, and the whole of it as JSON where there is a ``target``.

    The table goes to standard error where JSON goes to standard output.
    """
    print_table(report["rows"], columns, to_stderr=target == "-")
    if target:
        write_json(target, report)


def plot(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Latency against recall, one panel for each kind of query and size."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    panels = sorted({(row["documents"], row["queries"]) for row in rows})
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(5.5 * len(panels), 4.5), squeeze=False, layout="constrained"
    )
    engines = sorted({row["engine"] for row in rows})
    for axis, (documents, queries) in zip(axes[0], panels, strict=True):
        for color, engine in enumerate(engines):
            points = sorted(
                (row["recall_at_10"], row["us_per_query"])
                for row in rows
                if (row["documents"], row["queries"], row["engine"]) == (documents, queries, engine)
            )
            if points:
                axis.plot(*zip(*points, strict=True), "o-", color=f"C{color}", label=engine)
        axis.set(
            title=f"{documents:,} documents, {queries} queries",
            xlabel="recall at 10 of exhaustive search",
            ylabel="microseconds a query, one thread",
            yscale="log",
        )
        axis.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def plot_growth(
    path: Path, panels: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]
) -> None:
    """Microseconds by documents: a panel of each title, in it a line of each label."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(5.5 * len(panels), 4.5), squeeze=False, layout="constrained"
    )
    for axis, (title, lines) in zip(axes[0], panels.items(), strict=True):
        for label, points in lines.items():
            axis.plot(*zip(*sorted(points), strict=True), "o-", label=label)
        axis.set(title=title, xlabel="documents", ylabel="microseconds a query, one thread")
        axis.set(xscale="log", yscale="log")
        axis.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
