"""``lsr search``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsr.errors import UsageError
from service.commands.options import (
    engine_option,
    json_option,
    query_encoder_option,
    trust_option,
    using_option,
)

if TYPE_CHECKING:
    from lsr.trusted_code import TrustedCode

EXAMPLE = '{"apple": 1.5, "pie": 0.5}'


@click.command("search")
@click.argument("collection", type=click.Path(path_type=Path))
@click.argument("query", nargs=-1)
@click.option(
    "--tokens",
    metavar="JSON",
    help="Search by tokens with weights in place of encoding a text, as in '{\"apple\": 1.5}'.",
)
@click.option("-n", "--limit", default=10, show_default=True, help="Number of hits.")
@click.option("--offset", default=0, show_default=True, help="Hits to leave out at the top.")
@using_option
@query_encoder_option
@click.option(
    "--filter",
    "filter_text",
    metavar="FILTER",
    help="Search only documents whose metadata pass, as in: "
    "lang = en and year >= 2000 and not (kind in (a, b)) and author exists",
)
@click.option(
    "--approximate", is_flag=True, help="Leave out what is unlikely to matter; says how sure it is."
)
@click.option(
    "--effort",
    type=float,
    help="Of approximate search, which it implies: above 0, and at most 1 (exact).  [default: 0.5, "
    "with --time-budget 1]",
)
@click.option(
    "--time-budget",
    type=float,
    metavar="MS",
    help="Milliseconds that the search may take in all; implies --approximate.",
)
@engine_option
@trust_option
@json_option
def search_command(
    collection: Path,
    query: Sequence[str],
    tokens: str | None,
    limit: int,
    offset: int,
    using: str | None,
    query_encoder: str | None,
    filter_text: str | None,
    approximate: bool,
    effort: float | None,
    time_budget: float | None,
    engine: str,
    trusted: TrustedCode,
    as_json: bool,
) -> None:
    """Search COLLECTION for QUERY."""
    if not query and tokens is None:
        raise click.UsageError("there is no query; give words, or --tokens")
    from index.collection.collection import Collection
    from index.filters.text_form import parse_filter_text
    from index.search.config import SearchConfig
    from index.search.pipeline import search
    from index.search.query import SearchQuery
    from service.commands import terminal

    opened = Collection.open(collection, trusted=trusted)
    implied = effort is not None or time_budget is not None
    config = SearchConfig(
        limit=limit,
        offset=offset,
        using=using,
        engine=engine,
        explain=True,
        filter=None if filter_text is None else parse_filter_text(filter_text),
        mode="approximate" if approximate or implied else "exact",
        effort=effort,
        time_budget_ms=time_budget,
        query_encoder=query_encoder,
    )
    asked = SearchQuery(
        text=" ".join(query) if query else None,
        tokens=None if tokens is None else _tokens(tokens),
    )
    result = search(opened, asked, config)
    if as_json:
        from service.api.schemas.responses import search_json

        terminal.print_json(search_json(result, explain=True))
    else:
        terminal.print_result(result)


def _tokens(text: str) -> dict[str, float]:
    from lsr.corpus.json_values import parse_json

    tokens = parse_json(text)
    if not isinstance(tokens, dict) or not all(type(w) in (int, float) for w in tokens.values()):
        raise UsageError(f"--tokens is {text!r}; give an object of numbers, as {EXAMPLE}")
    return tokens
