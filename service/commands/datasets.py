"""``lsr datasets``: the data sets and suites that ``lsr eval`` knows by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsr.errors import NotFoundError
from service.commands.options import json_option

if TYPE_CHECKING:
    from eval.known import Known


@click.command("datasets")
@click.argument("name", required=False)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Look for data sets among the BEIR folders here too.",
)
@json_option
def datasets_command(name: str | None, data: Path | None, as_json: bool) -> None:
    """List the data sets and suites that `lsr eval` knows, or those of the suite or data set NAME.

    Those that are not here are downloaded when they are first used; of those that can't be, it is
    said what to fetch and where to put it. Any BEIR folder and any id of ir_datasets can be given
    to `lsr eval` besides.
    """
    from eval.known import AVERAGED, KNOWN, SUITES, expand, group_of, known_by
    from service.commands import terminal

    listed = list(KNOWN)
    if name is not None:
        found = [known_by(each) for each in expand([name])]
        listed = [each for each in found if each is not None]
        if not listed:
            raise NotFoundError(
                f"no data set or suite is known as {name!r}; `lsr datasets` lists all, and "
                "`lsr eval` takes any BEIR folder or id of ir_datasets"
            )
    rows = [_row(each, data) for each in listed]
    if as_json:
        suites = {suite: list(sets) for suite, sets in SUITES.items()}
        terminal.print_json({"datasets": rows, "suites": suites})
        return
    shown = [row | {"size": _size(row["download_bytes"])} for row in rows]
    columns = ("name", "documents", "queries", "licence", "size", "here")
    terminal.print_table(shown, {each: each for each in columns}, ("name", "here"))
    if name is None:
        for suite, sets in SUITES.items():
            one = {group_of(each) for each in sets} if suite != AVERAGED else sets
            terminal.out.print(f"suite {suite}: {len(one)} data sets", markup=False)
    for row in rows:
        # A download may be impossible for one that is asked about, and always is for these.
        if row["fetch"] and (name is not None or not row["free"]):
            terminal.out.print(row["fetch"], markup=False)


def _row(known: Known, data: Path | None) -> dict[str, Any]:
    from eval.datasets import local_folder

    folder = local_folder(known.name, data)
    here = str(folder) if folder is not None else "cached" if known.cached() else "no"
    return {
        "name": known.name,
        "documents": known.documents,
        "queries": known.queries,
        "licence": known.licence,
        "download_bytes": known.download,
        "free": known.free,
        "here": here,
        "fetch": known.to_fetch(data) if here == "no" else "",
    }


def _size(count: int) -> str:
    """Bytes for people; "-" where they are not known."""
    return f"{count / 1e6:,.1f} MB" if count else "-"
