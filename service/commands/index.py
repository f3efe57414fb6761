"""``lsr index``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.options import (
    bm25_option,
    dense_option,
    encoder_option,
    json_option,
    processes_option,
    trust_option,
)

if TYPE_CHECKING:
    from index.collection.collection import Collection
    from index.indexing import IndexReport
    from lsr.trusted_code import TrustedCode


@click.command("index")
@click.argument("corpus")
@click.option("--into", type=click.Path(path_type=Path), required=True, help="The collection.")
@encoder_option
@dense_option
@bm25_option
@processes_option
@trust_option
@click.option("--quiet", is_flag=True, help="No progress bar.")
@json_option
def index_command(
    corpus: str,
    into: Path,
    encoder: str | None,
    dense: str | None,
    bm25: bool,
    processes: int,
    trusted: TrustedCode,
    quiet: bool,
    as_json: bool,
) -> None:
    """Index CORPUS: a BEIR folder, .jsonl or .tsv file (.gz too), folder of texts, irds:DATASET,
    demo, or - for JSONL on standard input.

    Run the same command again after an interruption: it goes on where it stopped. Documents that
    have not changed are not encoded again. Items that can't be read are reported and skipped, and
    the exit code is then 1.
    """
    from service.commands import terminal

    report, collection = index_corpus(
        corpus, into, encoder, trusted, dense, bm25, quiet or as_json, processes
    )
    if as_json:
        terminal.print_json(terminal.index_json(report, len(collection), str(into)))
    else:
        terminal.print_index_report(report, len(collection), str(into))
    collection.close()
    sys.exit(1 if report.rejected else 0)


def index_corpus(
    corpus: str,
    into: Path,
    encoder: str | None,
    trusted: TrustedCode,
    dense: str | None = None,
    bm25: bool = False,
    quiet: bool = False,
    processes: int = 1,
) -> tuple[IndexReport, Collection]:
    """Index with a progress bar, naming on standard error each item that is rejected."""
    from eval.datasets import named_corpus
    from index.collection.opening import open_or_create
    from index.indexing import index_documents
    from service.commands import terminal

    items = named_corpus(corpus)
    collection = open_or_create(into, encoder, dense, bm25, trusted)
    with terminal.indexing_progress(
        lambda: terminal.fraction_read(items), "indexing", quiet
    ) as progress:
        report = index_documents(collection, items, progress, processes=processes)
    return report, collection
