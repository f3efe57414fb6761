"""``lsr eval cache``: the indexes that evaluations keep."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from lsr.errors import NotFoundError
from service.commands.options import json_option


@click.command("cache")
@click.argument("datasets", metavar="[SET...]", nargs=-1)
@click.option("--prune", is_flag=True, help="Delete them; the next evaluation makes what it needs.")
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="DAYS",
    help="Only those that no evaluation has used for so many days.",
)
@json_option
def cache_command(datasets: Sequence[str], prune: bool, older_than: float, as_json: bool) -> None:
    """List the indexes that `lsr eval` keeps for its data sets, or for SET, with their sizes.

    Each is of the documents as they were read: after a change of them, the former stays until it is
    pruned, and gives the next index the vectors of what has not changed.
    """
    from eval import kept_indexes
    from service.commands import terminal

    kept = kept_indexes.kept_indexes(datasets)
    if datasets and not kept:
        raise NotFoundError(
            f"no index is kept for {', '.join(datasets)}; `lsr eval cache` lists those that are"
        )
    latest = time.time() - older_than * 86400
    kept = [each for each in kept if each.used <= latest]
    left: list[str] = []
    if prune:
        kept, left = kept_indexes.prune(kept)
    total = sum(each.bytes for each in kept)
    if as_json:
        rows = [each.to_json() for each in kept]
        terminal.print_json({"pruned" if prune else "indexes": rows, "bytes": total, "left": left})
        return
    if kept:
        rows = [
            {
                "dataset": each.dataset,
                "encoders": "+".join(each.encoders.values()) or "-",
                "documents": each.documents,
                "MB": f"{each.bytes / 1e6:,.1f}",
                "used": time.strftime("%Y-%m-%d %H:%M", time.localtime(each.used)),
                "state": _state(each.complete, each.current),
            }
            for each in kept
        ]
        terminal.print_table(rows, {name: name for name in rows[0]}, ("dataset", "encoders"))
    done = "freed" if prune else "kept"
    terminal.out.print(f"{done}: {len(kept)} indexes, {total / 1e6:,.1f} MB", markup=False)
    for sentence in left:
        terminal.err.print(sentence, markup=False)


def _state(complete: bool, current: bool) -> str:
    if not current:
        return "of another release"
    return "complete" if complete else "unfinished"
