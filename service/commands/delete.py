"""``lsr delete``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from service.commands.options import PLACE, json_option

if TYPE_CHECKING:
    from index.opening import Place


@click.command("delete")
@click.argument("collection", type=PLACE)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--filter",
    "filter_text",
    metavar="FILTER",
    help="Delete the documents whose metadata pass, in place of ids; as in: year < 2000",
)
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting by a filter.")
@json_option
def delete_command(
    collection: Place,
    ids: Sequence[str],
    filter_text: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete documents of COLLECTION by their ids, or all that pass a filter.

    Ids that are not there are named, and the exit code is then 1. On a terminal a filter is asked
    about first.
    """
    if bool(ids) == (filter_text is not None):
        raise click.UsageError("give ids or --filter, one of them")
    from index.filters.text_form import parse_filter_text
    from index.opening import open_collection
    from service.commands import terminal

    wanted = None if filter_text is None else parse_filter_text(filter_text)
    opened = open_collection(collection)
    named = list(dict.fromkeys(ids))
    there = opened.store.sequences(named)
    missing = [identifier for identifier in named if identifier not in there]
    found = list(there) if wanted is None else opened.matching(wanted)
    asks = wanted is not None and found and not (dry_run or yes or as_json)
    if asks and sys.stdin.isatty():
        click.confirm(f"delete {len(found):,} of {len(opened):,} documents?", abort=True, err=True)
    deleted = found if dry_run else opened.delete(found)
    if as_json:
        terminal.print_json(
            {
                "collection": str(collection),
                "deleted": 0 if dry_run else len(deleted),
                "ids": sorted(deleted),
                "missing": missing,
                "dry_run": dry_run,
                "documents": len(opened),
            }
        )
    else:
        terminal.print_deleted(len(deleted), missing, dry_run, len(opened), str(collection))
    opened.close()
    sys.exit(1 if missing else 0)
