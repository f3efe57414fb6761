"""The command line, and the one place where all packages meet.

Everything heavier than click is imported inside the command that needs it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsr.errors import InputError, LsrError, UsageError
from service.commands.bench import bench_command
from service.commands.corpus import corpus_items
from service.commands.maintenance import COMMANDS
from service.commands.models import models_command
from service.commands.options import (
    bm25_option,
    dense_option,
    encoder_option,
    engine_option,
    json_option,
    processes_option,
    query_encoder_option,
    using_option,
)
from service.commands.pairs import pairs_command
from service.commands.search import search_command
from service.commands.train import train_command
from service.commands.vectors import COMMANDS as ENCODE_COMMANDS

if TYPE_CHECKING:
    from eval.datasets import Dataset
    from index.collection.collection import Collection
    from index.indexing import IndexReport
    from index.search.config import SearchConfig
    from lsr.corpus.readers import Item
    from lsr.train.config import TrainingConfig
    from lsr.train.pairs import HeldOut
    from lsr.train.trainer import Evaluate

DEMO_SEARCHES = (
    "open a page in the default browser",
    "copy a file with its metadata",
    "create a temporary directory that is removed afterwards",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="lsr")
@click.pass_context
def cli(context: click.Context) -> None:
    """Learned sparse retrieval: index a corpus, search it, serve it, and score it."""
    context.obj = judge


def judge(config: TrainingConfig, held_out: HeldOut) -> Evaluate:
    """What scores the students of ``lsr train``, which may not import it itself."""
    from eval.judged_set import training_judge

    return training_judge(config, held_out)


for command in (
    search_command,
    *ENCODE_COMMANDS,
    *COMMANDS,
    models_command,
    train_command,
    pairs_command,
    bench_command,
):
    cli.add_command(command)


@cli.command("index")
@click.argument("corpus")
@click.option("--into", type=click.Path(path_type=Path), required=True, help="The collection.")
@encoder_option
@dense_option
@bm25_option
@processes_option
@click.option("--quiet", is_flag=True, help="No progress bar.")
@json_option
def index_command(
    corpus: str,
    into: Path,
    encoder: str | None,
    dense: str | None,
    bm25: bool,
    processes: int,
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

    report, collection = _index(corpus, into, encoder, dense, bm25, quiet or as_json, processes)
    if as_json:
        terminal.print_json(terminal.index_json(report, len(collection), str(into)))
    else:
        terminal.print_index_report(report, len(collection), str(into))
    collection.close()
    sys.exit(1 if report.rejected else 0)


@cli.command("info")
@click.argument("collection", type=click.Path(path_type=Path))
@json_option
def info_command(collection: Path, as_json: bool) -> None:
    """Show what COLLECTION holds."""
    from dataclasses import asdict

    from index.collection.collection import Collection
    from service.commands import terminal

    opened = Collection.open(collection)
    description = opened.describe()
    fields = [asdict(field) for field in opened.fields]
    if as_json:
        terminal.print_json(description | {"fields": fields})
        return
    for name, value in description.items():
        terminal.out.print(f"{name:12}{f'{value:,}' if isinstance(value, int) else value}")
    columns = {"name": "field", "size": "size", "fingerprint": "fingerprint", "encoder": "encoder"}
    terminal.print_table(fields, columns)


@cli.command("serve")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on; 0: any free one.")
def serve_command(paths: Sequence[Path], host: str, port: int) -> None:
    """Serve REST API and search page over PATHS: collections, or folders of collections."""
    _serve(paths, host, port)


@cli.command("eval")
@click.argument("dataset")
@click.option(
    "--encoder", "encoders", multiple=True, metavar="NAME", help="As for lsr index; repeatable."
)
@dense_option
@bm25_option
@click.option(
    "--index", "into", type=click.Path(path_type=Path), help="The collection to build or reuse."
)
@using_option
@query_encoder_option
@engine_option
@click.option("--split", default="test", show_default=True, help="Qrels of a BEIR folder.")
@click.option("--measure", "measures", multiple=True, metavar="NAME", help="Such as nDCG@10.")
@click.option("--depth", default=100, show_default=True, help="Results per query.")
@click.option("--load-run", type=click.Path(path_type=Path), help="Score this TREC run instead.")
@click.option("--save-run", type=click.Path(path_type=Path), help="Write a TREC run.")
@click.option("--save-qrels", type=click.Path(path_type=Path), help="Write TREC qrels.")
@json_option
def eval_command(
    dataset: str,
    encoders: Sequence[str],
    dense: str | None,
    bm25: bool,
    into: Path | None,
    using: str | None,
    query_encoder: str | None,
    engine: str,
    split: str,
    measures: Sequence[str],
    depth: int,
    load_run: Path | None,
    save_run: Path | None,
    save_qrels: Path | None,
    as_json: bool,
) -> None:
    """Score an encoder on DATASET: a BEIR folder, an ir_datasets id, or demo.

    Without --using, every field of the collection and their fusion get a row each. The index is
    kept, so a second run goes straight to the queries.
    """
    from eval.datasets import load_dataset
    from eval.experiment import save_runs
    from eval.measures import STANDARD, parse_measures
    from lsr.corpus.qrels import write_qrels

    names = tuple(measures) or STANDARD
    parse_measures(names)
    if into is not None and len(encoders) > 1:
        raise UsageError("--index holds one collection; give one --encoder with it")
    loaded = load_dataset(dataset, split)
    if save_qrels is not None:
        write_qrels(save_qrels, loaded.qrels)
    if load_run is not None:
        _score_run(loaded, load_run, names, as_json)
        return
    rows: list[Any] = []
    for encoder in encoders or (None,):
        collection = _experiment_collection(loaded, encoder, dense, bm25, into, as_json)
        searches = _searches(collection, using, query_encoder, engine, depth)
        rows += _evaluate(loaded, collection, searches, names, as_json)
    if save_run is not None:
        save_runs(save_run, rows)
    _print_results(rows, names, as_json)


@cli.command("demo")
@click.option("--into", type=click.Path(path_type=Path), help="The collection; kept for next time.")
@encoder_option
@click.option("--serve/--no-serve", default=True, help="Serve the search page afterwards.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on; 0: any free one.")
def demo_command(into: Path | None, encoder: str | None, serve: bool, host: str, port: int) -> None:
    """Index what the Python standard library says about itself, search it, and serve it."""
    from eval.experiment import cache_folder
    from index.search.config import SearchConfig
    from index.search.pipeline import search
    from index.search.query import SearchQuery
    from lsr.encoders.catalogue import load_encoder
    from lsr.encoders.packaged import DEFAULT_ENCODER
    from service.commands import terminal

    into = into or cache_folder() / load_encoder(encoder or DEFAULT_ENCODER).fingerprint / "demo"
    report, collection = _index("demo", into, encoder, None, False, quiet=False)
    terminal.print_index_report(report, len(collection), str(into))
    for text in DEMO_SEARCHES:
        terminal.out.print(f'\n$ lsr search {into} -n 3 "{text}"', style="bold", markup=False)
        result = search(collection, SearchQuery(text=text), SearchConfig(limit=3, explain=True))
        terminal.print_result(result)
    if serve:
        _serve([into], host, port)


def main() -> None:
    """Run a command; every foreseen failure is one sentence on standard error.

    Exit codes: 0 done, 1 the run failed or some items were rejected, 2 wrong usage.
    """
    import sqlite3

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        _fail("interrupted; run the same command again to go on", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except LsrError as error:
        _fail(str(error), 2 if isinstance(error, UsageError | InputError) else 1)
    except (OSError, sqlite3.Error) as error:
        _fail(f"{error}", 1)


def _fail(sentence: str, code: int) -> None:
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(code)


def _index(
    corpus: str,
    into: Path,
    encoder: str | None,
    dense: str | None,
    bm25: bool,
    quiet: bool,
    processes: int = 1,
) -> tuple[IndexReport, Collection]:
    items = corpus_items(corpus)
    collection = _collection(into, encoder, dense, bm25)
    return _bring_up_to_date(collection, items, "indexing", quiet, processes), collection


def _bring_up_to_date(
    collection: Collection, items: Iterable[Item], label: str, quiet: bool, processes: int = 1
) -> IndexReport:
    """Index with a progress bar, naming on standard error each item that is rejected."""
    from index.indexing import index_documents
    from service.commands import terminal

    def fraction() -> float | None:
        return getattr(items, "fraction", None)

    with terminal.indexing_progress(fraction, label, quiet) as progress:
        return index_documents(collection, items, progress, processes=processes)


def _collection(into: Path, encoder: str | None, dense: str | None, bm25: bool) -> Collection:
    """The collection there with the encoders it was built with, or a new one."""
    from index.collection.collection import Collection, is_collection
    from index.collection.field import check_fields, encoder_fields
    from lsr.encoders.packaged import DEFAULT_ENCODER

    if not is_collection(into):
        return Collection.create(into, encoder_fields(encoder or DEFAULT_ENCODER, dense, bm25))
    collection = Collection.open(into)
    if encoder or dense or bm25:
        first = encoder or collection.fields[0].encoder
        wanted = encoder_fields(first, dense, bm25)
        check_fields(into, collection.fields, wanted, exactly=bool(encoder))
    return collection


def _experiment_collection(
    dataset: Dataset,
    encoder: str | None,
    dense: str | None,
    bm25: bool,
    into: Path | None,
    quiet: bool,
) -> Collection:
    from eval.experiment import check_same_documents, experiment_folder
    from index.collection.field import encoder_fields
    from lsr.encoders.packaged import DEFAULT_ENCODER

    if into is None:
        fields = encoder_fields(encoder or DEFAULT_ENCODER, dense, bm25)
        into = experiment_folder(dataset, fields)
    collection = _collection(into, encoder, dense, bm25)
    label = f"indexing {dataset.name}"
    report = _bring_up_to_date(collection, dataset.corpus(), label, quiet)
    check_same_documents(dataset, collection, report.read)
    return collection


def _searches(
    collection: Collection, using: str | None, query_encoder: str | None, engine: str, depth: int
) -> list[SearchConfig]:
    """Every search of a collection, or the one that is asked for.

    With a query encoder and nothing said, those that it has a part in.
    """
    from eval.experiment import every_search
    from index.collection.field import SPARSE
    from index.search.config import HYBRID, SearchConfig

    choices = [using] if using else every_search(collection)
    if query_encoder and not using:
        choices = [choice for choice in choices if choice in (SPARSE, HYBRID)]
    return [
        SearchConfig(
            limit=depth, using=choice, engine=engine, payload=False, query_encoder=query_encoder
        )
        for choice in choices
    ]


def _evaluate(
    dataset: Dataset,
    collection: Collection,
    searches: Sequence[SearchConfig],
    names: Sequence[str],
    quiet: bool,
) -> list[Any]:
    from eval.experiment import evaluate
    from service.commands import terminal

    rows = []
    for config in searches:
        label = f"searching {config.using}"
        with terminal.query_progress(len(dataset.queries), label, quiet) as on_done:
            rows.append(evaluate(dataset, collection, config, names, on_done))
    return rows


def _score_run(dataset: Dataset, path: Path, names: Sequence[str], as_json: bool) -> None:
    from eval.measures import measure
    from eval.run import read_run
    from service.commands import terminal

    measures = measure(dataset.qrels, read_run(path), names)
    if as_json:
        result = {"dataset": dataset.name, "run": str(path), "measures": measures}
        terminal.print_json({"results": [result]})
    else:
        row: dict[str, Any] = {"run": path.name, "dataset": dataset.name, **measures}
        terminal.print_table([row], {name: name for name in row})


def _print_results(rows: Sequence[Any], names: Sequence[str], as_json: bool) -> None:
    from service.commands import terminal

    if as_json:
        terminal.print_json({"results": [row.to_json() for row in rows]})
        return
    columns = ["dataset", "encoder", "using", "engine"]
    table: list[dict[str, Any]] = []
    for row in rows:
        cells: dict[str, Any] = {name: getattr(row, name) for name in columns}
        cells.update(row.measures)
        table.append(cells | {"ms/query": f"{row.ms_per_query:.2f}"})
    terminal.print_table(table, {name: name for name in [*columns, *names, "ms/query"]})
    for line in dict.fromkeys(row.provenance.line() for row in rows):
        terminal.out.print(line, style="dim", markup=False)


def _serve(paths: Sequence[Path], host: str, port: int) -> None:
    from service.api.server import serve

    serve(paths, host, port)


if __name__ == "__main__":
    main()
