"""What ``lsr eval`` prints and writes: tables in several formats, notes, values of queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from lsr.errors import UsageError

if TYPE_CHECKING:
    from eval.results import Results
    from eval.suite_significance import Significance
    from eval.table import Table

FORMATS = ("table", "json", "csv", "markdown", "latex")
format_option = click.option(
    "--format",
    "chosen",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="What is printed; LaTeX needs the package booktabs.",
)
costs_option = click.option(
    "--costs",
    is_flag=True,
    help="Show all costs: non-zeros, FLOPS, bytes, times of single queries by stage.",
)


def chosen_format(chosen: str, as_json: bool) -> str:
    """What --format and --json mean together.

    Raises:
        UsageError: they contradict each other.
    """
    if as_json and chosen not in ("table", "json"):
        raise UsageError(f"--json and --format {chosen} contradict each other; give one of them")
    return "json" if as_json else chosen


def print_table(table: Table, chosen: str) -> None:
    """A table in any format but JSON."""
    from eval.table import WRITERS
    from service.commands import terminal

    if chosen in WRITERS:
        click.echo(WRITERS[chosen](table), nl=False)
        return
    rows = [dict(zip(_headings(table), texts, strict=True)) for texts in table.texts()]
    right = [each.heading for each in table.columns if each.decimals is not None]
    terminal.print_table(rows, {name: name for name in _headings(table)}, right=right)


def print_results(
    results: Results,
    chosen: str,
    costs: bool,
    command: Sequence[str],
    baseline: str | None = None,
    published: bool = False,
) -> None:
    """Results, and what their reader should know; CSV has all costs, as JSON has.

    Systems are tested against ``baseline``, or all against each other. ``published``: the numbers
    of others stand beside, in JSON and in the table for people.
    """
    from eval.suite import document
    from eval.table import Table
    from service.commands import terminal
    from service.commands.published_output import print_published, published_json

    tested = _tested(results, baseline)
    if chosen == "json":
        shown = document(results, command, baseline)
        terminal.print_json(shown | ({"published": published_json(results)} if published else {}))
    else:
        print_table(Table.of_results(results, costs or chosen == "csv", tested), chosen)
    if chosen == "table" and tested is not None:
        for legend in tested.legends:
            terminal.out.print(legend, style="dim", markup=False)
    if chosen != "json":
        print_caveats([caveat for row in results for caveat in row.caveats])
    if chosen == "table":
        for line in dict.fromkeys(row.provenance.line() for row in results):
            terminal.out.print(line, style="dim", markup=False)
    if published and chosen == "table":
        print_published(results)
    for note in results.notes:
        terminal.err.print(f"Left out: {note}", markup=False)


def _tested(results: Results, baseline: str | None) -> Significance | None:
    """Tests by the first measure; a baseline that isn't there costs no result."""
    from service.commands import terminal

    try:
        return results.tested(baseline)
    except UsageError as error:
        terminal.err.print(f"Not tested: {error}", markup=False)
        return None


def print_run_score(row: dict[str, Any], caveats: Sequence[str], chosen: str) -> None:
    """The measures of a run from a file: ``row`` has its ``dataset``, ``run`` and ``measures``."""
    from eval.table import Table
    from service.commands import terminal

    if chosen == "json":
        terminal.print_json({"results": [row | {"caveats": list(caveats)}]})
        return
    print_table(Table.of_run(row["dataset"], row["run"], row["measures"]), chosen)
    print_caveats(caveats)


def print_caveats(caveats: Sequence[str]) -> None:
    """Each once, on standard error."""
    from service.commands import terminal

    for caveat in dict.fromkeys(caveats):
        terminal.err.print(f"Note: {caveat}", markup=False)


def _headings(table: Table) -> list[str]:
    return [each.heading for each in table.columns]
