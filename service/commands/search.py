"""``lsr search``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lsr.errors import UsageError
from service.commands.arranging_options import arranging_options
from service.commands.options import PLACE, json_option, trust_option
from service.commands.search_options import search_options

if TYPE_CHECKING:
    from index.opening import Place
    from index.search.config import SearchConfig
    from lsr.trusted_code import TrustedCode

EXAMPLE = '{"apple": 1.5, "pie": 0.5}'


@click.command("search")
@click.argument("collection", type=PLACE)
@click.argument("query", nargs=-1)
@click.option(
    "--tokens",
    metavar="JSON",
    help="Search by tokens with weights in place of encoding a text, as in '{\"apple\": 1.5}'.",
)
@click.option(
    "--like",
    metavar="ID",
    multiple=True,
    help="Search for documents like this one in place of a query; may be repeated.",
)
@click.option("-n", "--limit", default=10, show_default=True, help="Number of hits.")
@click.option("--offset", default=0, show_default=True, help="Hits to leave out at the top.")
@click.option("--cursor", metavar="TEXT", help="Go on behind the page that gave it, with --json.")
@click.option(
    "--context-tokens",
    type=int,
    metavar="N",
    help="Print the best passages for a generator in place of hits: about N tokens, each text "
    "once, with numbers to cite.",
)
@search_options
@arranging_options
@trust_option
@json_option
def search_command(
    collection: Place,
    query: Sequence[str],
    tokens: str | None,
    like: Sequence[str],
    limit: int,
    offset: int,
    cursor: str | None,
    context_tokens: int | None,
    searching: SearchConfig,
    trusted: TrustedCode,
    as_json: bool,
) -> None:
    """Search COLLECTION for QUERY."""
    if not query and tokens is None and not like:
        raise click.UsageError("there is no query; give words, --tokens or --like")
    from index.opening import open_collection
    from index.search.pipeline import search
    from index.search.query import SearchQuery
    from service.commands import search_output, terminal

    opened = open_collection(collection, trusted)
    config = replace(
        searching,
        limit=limit,
        offset=offset,
        cursor=cursor,
        explain=True,
        context_tokens=context_tokens,
    )
    asked = SearchQuery(
        text=" ".join(query) if query else None,
        tokens=None if tokens is None else _tokens(tokens),
        like=like or None,
    )
    result = search(opened, asked, config)
    if as_json:
        from service.api.schemas.search_json import search_json

        terminal.print_json(search_json(result, explain=True, config=config))
    elif result.context is not None:
        search_output.print_context(result.context)
    else:
        search_output.print_result(result, config)


def _tokens(text: str) -> dict[str, float]:
    from lsr.corpus.json_values import parse_json

    tokens = parse_json(text)
    if not isinstance(tokens, dict) or not all(type(w) in (int, float) for w in tokens.values()):
        raise UsageError(f"--tokens is {text!r}; give an object of numbers, as {EXAMPLE}")
    return tokens
