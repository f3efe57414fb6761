"""``lsr eval``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lsr.errors import UsageError
from service.commands.default_group import DefaultGroup
from service.commands.eval_compare import compare_command
from service.commands.eval_gate import gate_command
from service.commands.eval_report import report_command
from service.commands.eval_rerun import rerun_command
from service.commands.options import (
    bm25_option,
    dense_option,
    json_option,
    language_option,
    passages_option,
    trust_option,
)
from service.commands.output_path import output_file
from service.commands.published_output import (
    PUBLISHED,
    check_published,
    print_published,
    published_json,
)
from service.commands.search_options import search_options_but_using

if TYPE_CHECKING:
    from eval.cell import Cell
    from eval.datasets import Dataset
    from eval.experiment import ExperimentProgress
    from eval.results import Results
    from eval.suite_significance import Significance
    from index.search.config import SearchConfig
    from lsr.trusted_code import TrustedCode

PATH = click.Path(path_type=Path)
# What can be said of a run that is read and not made.
OF_LOADED_RUNS = ("datasets", "split", "measures", "load_run", "save_qrels", "as_json")


@click.command("eval")
@click.argument("datasets", metavar="SET...", nargs=-1, required=True)
@click.option(
    "--encoder", "encoders", multiple=True, metavar="NAME", help="As for lsr index; repeatable."
)
@dense_option
@bm25_option
@language_option
@passages_option
@click.option(
    "--index", "into", type=click.Path(path_type=Path), help="The collection to build or reuse."
)
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
@trust_option
@json_option
def score_command(
    datasets: Sequence[str],
    encoders: Sequence[str],
    dense: str | None,
    bm25: bool,
    language: str | None,
    passages: str | None,
    into: Path | None,
    searches: Sequence[str],
    searching: SearchConfig,
    split: str,
    measures: Sequence[str],
    depth: int | None,
    against: str | None,
    baseline: str | None,
    load_run: Path | None,
    save_run: Path | None,
    save_qrels: Path | None,
    output: Path | None,
    data: Path | None,
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
    from eval.saved_runs import save_runs
    from eval.suite import Systems, document, load_suite, run_suite
    from index.search.config import LARGEST_LIMIT
    from lsr.corpus.qrels import write_qrels
    from service.commands import terminal
    from service.commands.language import chosen_language

    if load_run is None:
        measures, depth = measures_and_depth(measures, depth, LARGEST_LIMIT)
    else:
        _check_loading()
    suite = load_suite(datasets, split, data)
    if len(suite.datasets) > 1 and (load_run is not None or save_qrels is not None):
        option = "--load-run" if load_run is not None else "--save-qrels"
        raise UsageError(f"{option} is of one data set, and {len(suite.datasets)} were given")
    if save_qrels is not None:
        for dataset in suite.datasets.values():
            write_qrels(save_qrels, dataset.qrels)
    if load_run is not None:
        for dataset in suite.datasets.values():
            _score_run(dataset, load_run, measures or STANDARD, as_json)
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
    results = run_suite(suite, systems, output, evaluation_progress(), _on_cell(output), command)
    tested = _tested(results, baseline)
    if as_json:
        shown = document(results, command) | ({"significance": tested.to_json()} if tested else {})
        terminal.print_json(shown | ({"published": published_json(results)} if published else {}))
    else:
        _print_results(results, tested)
        if published:
            print_published(results)
    for note in results.notes:
        terminal.err.print(f"Left out: {note}", markup=False)
    if save_run is not None:
        for path in save_runs(save_run, results):
            terminal.err.print(f"wrote {path}", markup=False)


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


def _tested(results: Results, baseline: str | None) -> Significance | None:
    """Tests by the first measure; a baseline that isn't there costs no result."""
    from eval.suite_significance import significance_of
    from service.commands import terminal

    measure = next(iter(results[0].measures))
    try:
        return significance_of(results, measure, baseline)
    except UsageError as error:
        terminal.err.print(f"Not tested: {error}", markup=False)
        return None


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


def _score_run(dataset: Dataset, path: Path, names: Sequence[str], as_json: bool) -> None:
    from eval.caveats import of_loaded_run, read_run_of
    from eval.measures import measure
    from service.commands import terminal

    run = read_run_of(dataset, path)
    measures = measure(dataset.qrels, run, names)
    caveats = of_loaded_run(dataset, run, names)
    if as_json:
        result = {"dataset": dataset.name, "run": str(path), "measures": measures}
        terminal.print_json({"results": [result | {"caveats": caveats}]})
        return
    row: dict[str, Any] = {"run": path.name, "dataset": dataset.name, **measures}
    terminal.print_table([row], {name: name for name in row})
    for caveat in caveats:
        terminal.err.print(f"Note: {caveat}", markup=False)


def _print_results(results: Results, tested: Significance | None) -> None:
    from eval.cell import Cell
    from service.commands import terminal

    columns = ["dataset", "encoder", "using", "engine"]
    table: list[dict[str, Any]] = []
    places = {id(cell): place for place, cell in enumerate(results)}
    lettered = tested is not None and any(tested.letters.values())
    for row in results.shown():
        cells: dict[str, Any] = {name: getattr(row, name) for name in columns}
        cells.update(row.measures)
        if tested is not None and tested.pairs:
            place, first = places.get(id(row), -1), next(iter(row.measures))
            cells[""] = tested.letters.get(place, "")
            cells[first] = f"{row.measures[first]:.4f} {tested.better.get(place, '')}".rstrip()
        timed = f"{row.ms_per_query:.2f}" if isinstance(row, Cell) else ""
        table.append(cells | {"ms/query": timed})
    names = list(results[0].measures)
    shown = [*([""] if lettered else []), *columns, *names, "ms/query"]
    terminal.print_table(table, {name: name for name in shown})
    for legend in tested.legends if tested is not None else ():
        terminal.out.print(legend, style="dim", markup=False)
    for caveat in dict.fromkeys(caveat for row in results for caveat in row.caveats):
        terminal.err.print(f"Note: {caveat}", markup=False)
    for line in dict.fromkeys(row.provenance.line() for row in results):
        terminal.out.print(line, style="dim", markup=False)


eval_command = DefaultGroup("eval", score_command)
for subcommand in (compare_command, gate_command, report_command, rerun_command):
    eval_command.add_command(subcommand)
