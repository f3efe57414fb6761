"""``lsr eval``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from lsr.errors import UsageError
from service.commands.eval_output import (
    chosen_format,
    costs_option,
    format_option,
    print_results,
    print_run_score,
)
from service.commands.options import (
    PLACE,
    bm25_option,
    dense_option,
    json_option,
    language_option,
    passages_option,
    trust_option,
)
from service.commands.output_path import output_file
from service.commands.published_output import PUBLISHED, check_published
from service.commands.search_options import search_options_but_using

if TYPE_CHECKING:
    from eval.cell import Cell
    from eval.datasets import Dataset
    from eval.experiment import ExperimentProgress
    from eval.suite import Suite
    from index.opening import Place
    from index.search.config import SearchConfig
    from lsr.trusted_code import TrustedCode

PATH = click.Path(path_type=Path)
# What can be said of a run that is read and not made.
OF_LOADED_RUNS = (
    "datasets",
    "split",
    "measures",
    "load_run",
    "save_qrels",
    "per_query",
    "chosen",
    "as_json",
)


@click.command("eval")
@click.argument("datasets", metavar="SET...", nargs=-1, required=True)
@click.option(
    "--encoder", "encoders", multiple=True, metavar="NAME", help="As for lsr index; repeatable."
)
@dense_option
@bm25_option
@language_option
@passages_option
@click.option("--index", "into", type=PLACE, help="The collection to build or reuse.")
@click.option(
    "--using",
    "searches",
    multiple=True,
    metavar="FIELD",
    help="sparse, dense, bm25, hybrid (sparse+dense), or fields to fuse, as in sparse+bm25; "
    "repeatable.",
)
@search_options_but_using
@click.option("--split", default="test", show_default=True, help="Qrels of a BEIR folder.")
@click.option("--measure", "measures", multiple=True, metavar="NAME", help="Such as nDCG@10.")
@click.option(
    "--depth", type=int, help="Results per query; as many as the measures need by default, but 100."
)
@click.option(
    "--against",
    metavar="FIELD",
    help="Say how alike each ranking is to this one's (rank-biased overlap), such as sparse for a "
    "dense encoder that imitates it; published: put the numbers of others beside.",
)
@click.option(
    "--both-ways",
    is_flag=True,
    help="Then the other way round: each document that answers a query asked over the queries.",
)
@click.option(
    "--baseline",
    metavar="NAME",
    help="Test the systems against this one, instead of all against each other.",
)
@click.option("--load-run", type=click.Path(path_type=Path), help="Score this TREC run instead.")
@click.option("--save-run", type=PATH, callback=output_file, help="Write a TREC run.")
@click.option("--save-qrels", type=PATH, callback=output_file, help="Write TREC qrels.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep each result in a file here, and take from here what an earlier run has finished.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Look for data sets among the BEIR folders here before downloading any.",
)
@click.option(
    "--per-query",
    type=PATH,
    callback=output_file,
    metavar="FILE",
    help="Write the value of each query, .json or .csv.",
)
@costs_option
@format_option
@trust_option
@json_option
def score_command(
    datasets: Sequence[str],
    encoders: Sequence[str],
    dense: str | None,
    bm25: bool,
    language: str | None,
    passages: str | None,
    into: Place | None,
    searches: Sequence[str],
    searching: SearchConfig,
    split: str,
    measures: Sequence[str],
    depth: int | None,
    against: str | None,
    both_ways: bool,
    baseline: str | None,
    load_run: Path | None,
    save_run: Path | None,
    save_qrels: Path | None,
    output: Path | None,
    data: Path | None,
    per_query: Path | None,
    costs: bool,
    chosen: str,
    trusted: TrustedCode,
    as_json: bool,
) -> None:
    """Score encoders on data sets: each a BEIR folder, an ir_datasets id, demo, or a suite.

    Suites are beir, beir-13, nanobeir and beir/cqadupstack; `lsr datasets` lists what they have.
    Without --using, every field of the collection and their fusions get a row each. The index is
    kept, so a second run goes straight to the queries. With --output, a run that was interrupted
    goes on where it was.
    """
    from eval.measures import STANDARD, measures_and_depth
    from eval.per_query import QueryValues, check_kind, write_per_query
    from eval.saved_runs import save_runs
    from eval.suite import Systems, load_suite, run_suite
    from index.search.config import LARGEST_LIMIT
    from lsr.corpus.qrels import write_qrels
    from service.commands import terminal
    from service.commands.language import chosen_language

    chosen = chosen_format(chosen, as_json)
    if per_query is not None:
        check_kind(per_query)
    if load_run is None:
        measures, depth = measures_and_depth(measures, depth, LARGEST_LIMIT)
    else:
        _check_loading()
    suite = load_suite(datasets, split, data)
    if both_ways:
        suite = _turned_round_too(suite, into, save_qrels)
    if len(suite.datasets) > 1 and (load_run is not None or save_qrels is not None):
        option = "--load-run" if load_run is not None else "--save-qrels"
        raise UsageError(f"{option} is of one data set, and {len(suite.datasets)} were given")
    if save_qrels is not None:
        for dataset in suite.datasets.values():
            write_qrels(save_qrels, dataset.qrels)
    if load_run is not None:
        for dataset in suite.datasets.values():
            _score_run(dataset, load_run, measures or STANDARD, chosen, per_query)
        return
    if save_run is not None:
        for dataset in suite.datasets.values():
            dataset.check_trec_ids()

    def language_of(dataset: Dataset) -> str | None:
        return chosen_language(language, into, lambda count: islice(dataset.corpus(), count))

    published = against == PUBLISHED
    if published:
        check_published(list(suite.datasets), measures)
    systems = Systems(
        encoders or (None,), dense, bm25, searches, searching, into, measures, depth,
        None if published else against,
        passages, language_of, trusted,
    )  # fmt: skip
    command = sys.argv[1:]
    results = run_suite(
        suite, systems, output, evaluation_progress(), _on_cell(output), command, baseline
    )
    print_results(results, chosen, costs, command, baseline, published)
    if per_query is not None:
        write_per_query(per_query, [QueryValues.of_cell(cell) for cell in results])
    if save_run is not None:
        for path in save_runs(save_run, results):
            terminal.err.print(f"wrote {path}", markup=False)


def _turned_round_too(suite: Suite, into: Place | None, save_qrels: Path | None) -> Suite:
    from eval.both_ways import both_ways

    for option, given in (("--index", into), ("--save-qrels", save_qrels)):
        if given is not None:
            raise UsageError(f"{option} is of one data set, and --both-ways makes another of it")
    return both_ways(suite)


def _on_cell(output: Path | None) -> Callable[[Cell, bool], None]:
    """What is told of each result that is kept in a folder."""
    from service.commands import terminal

    def tell(cell: Cell, kept: bool) -> None:
        name, value = next(iter(cell.measures.items()))
        how = "kept" if kept else f"{cell.ms_per_query:.2f} ms/query"
        line = f"{cell.dataset}: {cell.encoder} {cell.using} {name} {value:.4f} ({how})"
        terminal.err.print(line, markup=False)

    return (lambda cell, kept: None) if output is None else tell


def _check_loading() -> None:
    """Raise UsageError where an option was given that has no effect on a loaded run."""
    context = click.get_current_context()
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") == ParameterSource.COMMANDLINE
        if given and option.name not in OF_LOADED_RUNS:
            raise UsageError(
                f"{option.opts[0]} is about what is searched, and --load-run searches nothing; "
                "give one of them"
            )


def evaluation_progress() -> ExperimentProgress:
    """Bars of indexing and of searching, on standard error."""
    from eval.experiment import ExperimentProgress
    from service.commands import terminal

    return ExperimentProgress(
        indexing=lambda items, label: terminal.indexing_progress(
            lambda: terminal.fraction_read(items), label, quiet=False
        ),
        searching=lambda total, label: terminal.query_progress(total, label, quiet=False),
    )


def _score_run(
    dataset: Dataset, path: Path, names: Sequence[str], chosen: str, per_query: Path | None
) -> None:
    from eval.caveats import of_loaded_run, read_run_of
    from eval.measures import measured
    from eval.per_query import QueryValues, write_per_query

    run = read_run_of(dataset, path)
    found = measured(dataset.qrels, run, names)
    row = {"dataset": dataset.name, "run": str(path), "measures": found.means}
    print_run_score(row, of_loaded_run(dataset, run, names), chosen)
    if per_query is not None:
        named = {"dataset": dataset.name, "run": str(path)}
        write_per_query(per_query, [QueryValues(named, found.per_query)])
