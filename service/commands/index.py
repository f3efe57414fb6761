"""``lsr index``."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.options import (
    PLACE,
    bm25_option,
    dense_option,
    encoder_option,
    json_option,
    language_option,
    passages_option,
    processes_option,
    reading_options,
    trust_option,
)

if TYPE_CHECKING:
    from index.collection.writable import Writable
    from index.indexing import IndexReport
    from index.opening import Place
    from lsr.corpus.readers.corpus import Reading
    from lsr.trusted_code import TrustedCode


@click.command("index")
@click.argument("corpus")
@click.option("--into", type=PLACE, required=True, help="The collection.")
@encoder_option
@dense_option
@bm25_option
@language_option
@passages_option
@processes_option
@click.option(
    "--sync", is_flag=True, help="Then delete the documents that are not in CORPUS any more."
)
@reading_options
@trust_option
@click.option("--quiet", is_flag=True, help="No progress bar.")
@json_option
def index_command(
    corpus: str,
    into: Place,
    encoder: str | None,
    dense: str | None,
    bm25: bool,
    language: str | None,
    passages: str | None,
    processes: int,
    sync: bool,
    reading: Reading,
    trusted: TrustedCode,
    quiet: bool,
    as_json: bool,
) -> None:
    """Index CORPUS: a file of JSON lines or arrays, CSV, TSV, Parquet, text, Markdown, reST, HTML,
    PDF, Word (.docx) or source code (.gz too), a folder of such files, a BEIR folder, irds:DATASET,
    demo, or - for JSON on standard input.

    Run the same command again after an interruption: it goes on where it stopped. Documents that
    have not changed are not encoded again. Items that can't be read are reported and skipped, and
    the exit code is then 1.
    """
    from index.opening import is_there, remove_unused
    from service.commands import terminal

    new, made = not is_there(into), isinstance(into, Path) and not into.exists()
    report, collection = index_corpus(
        corpus,
        into,
        encoder,
        trusted,
        dense,
        bm25,
        quiet or as_json,
        processes,
        reading=reading,
        sync=sync,
        passages=passages,
        language=language,
    )
    if as_json:
        terminal.print_json(terminal.index_json(report, len(collection), str(into)))
    else:
        terminal.print_index_report(report, len(collection), str(into))
    if report.not_deleted:
        terminal.print_rejected(report.not_deleted)
    empty = not len(collection)
    collection.close()
    if new and empty and report.rejected:
        terminal.print_rejected(f"no document could be read, so there is no collection at {into}")
        remove_unused(into, made)
    sys.exit(1 if report.rejected or report.not_deleted else 0)


def index_corpus(
    corpus: str,
    into: Place,
    encoder: str | None,
    trusted: TrustedCode,
    dense: str | None = None,
    bm25: bool = False,
    quiet: bool = False,
    processes: int = 1,
    *,
    reading: Reading | None = None,
    sync: bool = False,
    passages: str | None = None,
    language: str | None = None,
) -> tuple[IndexReport, Writable]:
    """Index with a progress bar, naming on standard error each item that is rejected."""
    from eval.datasets import named_corpus
    from index.indexing import index_documents
    from index.opening import gone_if_unused, open_or_create
    from index.syncing import sync_documents
    from lsr.corpus.readers.corpus import AS_USUAL, Corpus
    from service.commands import terminal
    from service.commands.language import chosen_language

    reading = reading or AS_USUAL
    items = named_corpus(corpus, reading)
    language = chosen_language(
        language,
        into,
        items.sample
        if isinstance(items, Corpus)
        else lambda count: islice(named_corpus(corpus, reading), count),
    )
    with gone_if_unused(into):
        collection = open_or_create(into, encoder, dense, bm25, trusted, passages, language)
        with terminal.indexing_progress(
            lambda: terminal.fraction_read(items), "indexing", quiet
        ) as progress:
            if sync:
                report = sync_documents(collection, items, progress, processes)
            else:
                report = index_documents(collection, items, progress, processes=processes)
    return report, collection
