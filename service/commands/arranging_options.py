"""How hits are arranged: the options of search for sorting, grouping and counting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from index.search.config import SearchConfig

_OPTIONS = (
    click.option(
        "--sort",
        metavar="KEY[:desc]",
        multiple=True,
        help="Order hits by this metadata key, or by _score; may be repeated. All that match are "
        "sorted; documents without a value come last.",
    ),
    click.option(
        "--group-by", metavar="KEY", help="Show the best hits of each value of this metadata key."
    ),
    click.option("--group-hits", type=int, metavar="N", help="Hits of each group.  [default: 1]"),
    click.option(
        "--facet",
        metavar="KEY",
        multiple=True,
        help="Count the values of this metadata key; may be repeated.",
    ),
    click.option(
        "--facet-over",
        type=click.Choice(["filtered", "matching"]),
        help="Count over all documents that pass the filter, or those that match the query too.  "
        "[default: filtered]",
    ),
    click.option(
        "--facet-limit", type=int, metavar="N", help="Values of each facet.  [default: 10]"
    ),
    click.option(
        "--min-score", type=float, metavar="X", help="Show only hits that score X or more."
    ),
    click.option(
        "--payload",
        metavar="KEYS",
        help="Show these parts of each hit: title, text, metadata, or metadata keys, as in "
        "title,lang.",
    ),
    click.option("--exact-total", is_flag=True, help="Count all documents that match."),
)


def arranging_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options for the order and the numbers of hits; they become part of ``searching``."""

    @wraps(command)
    def with_arranging(
        searching: SearchConfig,
        sort: tuple[str, ...],
        group_by: str | None,
        group_hits: int | None,
        facet: tuple[str, ...],
        facet_over: str | None,
        facet_limit: int | None,
        min_score: float | None,
        payload: str | None,
        exact_total: bool,
        **others: Any,
    ) -> Any:
        from index.search.facets import Facet
        from index.search.grouping import Grouping
        from index.search.sorting import SortKey

        if group_hits is not None and group_by is None:
            raise click.UsageError("--group-hits goes with --group-by; give a key to group by")
        if not facet and (facet_over is not None or facet_limit is not None):
            raise click.UsageError("there is no facet to count; give --facet KEY")
        of_facets = {"limit": facet_limit, "over": facet_over}
        given = {name: value for name, value in of_facets.items() if value is not None}
        searching = replace(
            searching,
            sort=tuple(map(SortKey.parse, sort)),
            group_by=None if group_by is None else Grouping(group_by, group_hits or 1),
            facets=tuple(Facet(key, **given) for key in facet),  # type: ignore[arg-type]
            min_score=min_score,
            payload=True if payload is None else _names(payload),
            exact_total=exact_total,
        )
        return command(searching=searching, **others)

    for option in reversed(_OPTIONS):
        with_arranging = option(with_arranging)
    return with_arranging


def _names(given: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in given.split(","))
    if not all(names):
        raise click.UsageError(f"--payload is {given!r}; give names, as in title,lang")
    return names
