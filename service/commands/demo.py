"""``lsr demo``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.index import index_corpus
from service.commands.options import encoder_option, host_option, port_option, trust_option
from service.commands.serve import serve

if TYPE_CHECKING:
    from lsr.trusted_code import TrustedCode

SEARCHES = (
    "open a page in the default browser",
    "copy a file with its metadata",
    "create a temporary directory that is removed afterwards",
)


@click.command("demo")
@click.option("--into", type=click.Path(path_type=Path), help="The collection; kept for next time.")
@encoder_option
@click.option(
    "--serve/--no-serve", "serves", default=True, help="Serve the search page afterwards."
)
@host_option
@port_option
@trust_option
def demo_command(
    into: Path | None,
    encoder: str | None,
    serves: bool,
    host: str,
    port: int,
    trusted: TrustedCode,
) -> None:
    """Index what the Python standard library says about itself, search it, and serve it."""
    from eval.kept_indexes import cache_folder
    from index.search.config import SearchConfig
    from index.search.pipeline import search
    from index.search.query import SearchQuery
    from lsr.encoders.catalogue import load_encoder
    from lsr.encoders.packaged import DEFAULT_ENCODER
    from service.commands import search_output, terminal

    if into is None:
        name = DEFAULT_ENCODER if encoder is None else encoder
        fingerprint = load_encoder(name, trusted).fingerprint
        into = cache_folder() / fingerprint / "demo"
    report, collection = index_corpus("demo", into, encoder, trusted)
    terminal.print_index_report(report, len(collection), str(into))
    for text in SEARCHES:
        terminal.out.print(f'\n$ lsr search {into} -n 3 "{text}"', style="bold", markup=False)
        config = SearchConfig(limit=3, explain=True)
        search_output.print_result(search(collection, SearchQuery(text=text), config), config)
    terminal.out.print(
        f'\nnext: {terminal.program()} search {shlex.quote(str(into))} "read a csv file"',
        markup=False,
    )
    if serves:
        from service.settings import ServerSettings

        serve(ServerSettings(paths=[into], host=host, port=port), trusted)
