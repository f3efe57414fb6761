"""``lsr eval report``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from lsr.errors import UsageError
from service.commands.output_path import output_file

PATH = click.Path(path_type=Path)


@click.command("report")
@click.argument("results", type=PATH)
@click.option(
    "-o", "--out", "out", type=PATH, callback=output_file, metavar="FILE.html",
    help="Write a page of tables, plots and queries, which needs nothing beside it.",
)  # fmt: skip
@click.option(
    "--plots", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Write each plot as PNG and SVG.",
)  # fmt: skip
@click.option(
    "--measure", metavar="NAME",
    help="What plots, tests and queries are of.  [default: the first of the results]",
)  # fmt: skip
@click.option("--baseline", metavar="NAME", help="Test all against this one, instead of all pairs.")
def report_command(
    results: Path, out: Path | None, plots: Path | None, measure: str | None, baseline: str | None
) -> None:
    """Show results as a page and as plots.

    RESULTS is a folder that lsr eval --output wrote, or a file of lsr eval --json.
    """
    from eval.reproduction import command_of
    from eval.results import read_table
    from service.commands import terminal

    if out is None and plots is None:
        raise UsageError("say what to write: -o FILE.html, --plots DIR, or both")
    table = read_table(results)
    if plots is not None:
        from eval.suite_plots import write_plots

        written = write_plots(table, plots, measure)
        terminal.out.print(f"{len(written)} plots in {plots}", markup=False)
    if out is not None:
        from eval.report import report_page
        from lsr.whole_file import write_whole

        command = shlex.join(["lsr", "eval", *words]) if (words := command_of(results)) else ""
        page = report_page(table, measure, baseline, command)
        write_whole(out, page)
        terminal.out.print(f"the report is {out}", markup=False)
