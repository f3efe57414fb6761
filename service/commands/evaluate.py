"""``lsr eval``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lsr.errors import UsageError
from service.commands.default_group import DefaultGroup
from service.commands.options import (
    bm25_option,
    dense_option,
    json_option,
    language_option,
    passages_option,
    trust_option,
)
from service.commands.output_path import output_file
from service.commands.search_options import search_options

if TYPE_CHECKING:
    from eval.cell import Cell
    from eval.datasets import Dataset
    from eval.experiment import ExperimentProgress
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
@search_options
@click.option("--split", default="test", show_default=True, help="Qrels of a BEIR folder.")
@click.option("--measure", "measures", multiple=True, metavar="NAME", help="Such as nDCG@10.")
@click.option(
    "--depth", type=int, help="Results per query; as many as the measures need by default, but 100."
)
@click.option(
    "--against",
    metavar="FIELD",
    help="Say how alike each ranking is to this one's (rank-biased overlap), such as sparse for a "
    "dense encoder that imitates it.",
)
@click.option("--load-run", type=click.Path(path_type=Path), help="Score this TREC run instead.")
@click.option("--save-run", type=PATH, callback=output_file, help="Write a TREC run.")
@click.option("--save-qrels", type=PATH, callback=output_file, help="Write TREC qrels.")
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
    searching: SearchConfig,
    split: str,
    measures: Sequence[str],
    depth: int | None,
    against: str | None,
    load_run: Path | None,
    save_run: Path | None,
    save_qrels: Path | None,
    trusted: TrustedCode,
    as_json: bool,
) -> None:
    """Score encoders on data sets: each a BEIR folder, an ir_datasets id, or demo.

    Without --using, every field of the collection and their fusion get a row each. The index is
    kept, so a second run goes straight to the queries.
    """
    from eval.datasets import load_dataset
    from eval.experiment import evaluate_dataset
    from eval.measures import STANDARD, measures_and_depth
    from index.search.config import LARGEST_LIMIT
    from lsr.corpus.qrels import write_qrels
    from service.commands.language import chosen_language

    if load_run is None:
        measures, depth = measures_and_depth(measures, depth, LARGEST_LIMIT)
    else:
        _check_loading()
    if into is not None and len(encoders) > 1:
        raise UsageError("--index holds one collection; give one --encoder with it")
    if len(datasets) > 1:
        raise UsageError("give one data set")
    loaded = load_dataset(datasets[0], split)
    if save_qrels is not None:
        write_qrels(save_qrels, loaded.qrels)
    if load_run is not None:
        _score_run(loaded, load_run, measures or STANDARD, as_json)
        return
    if save_run is not None:
        loaded.check_trec_ids()
    language = chosen_language(language, into, lambda count: islice(loaded.corpus(), count))
    rows: list[Cell] = []
    for encoder in encoders or (None,):
        rows += evaluate_dataset(
            loaded, encoder, dense, bm25, index=into, searching=searching,
            measures=measures, depth=depth, against=against, progress=_progress(as_json),
            trusted=trusted, passages=passages, language=language,
        )  # fmt: skip
    _print_results(rows, list(rows[0].measures), as_json)
    if save_run is not None:
        from eval.saved_runs import save_runs

        save_runs(save_run, rows)


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


def _progress(quiet: bool) -> ExperimentProgress:
    from eval.experiment import ExperimentProgress
    from service.commands import terminal

    return ExperimentProgress(
        indexing=lambda items, label: terminal.indexing_progress(
            lambda: terminal.fraction_read(items), label, quiet
        ),
        searching=lambda total, label: terminal.query_progress(total, label, quiet),
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


def _print_results(rows: Sequence[Cell], names: Sequence[str], as_json: bool) -> None:
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
    for caveat in dict.fromkeys(caveat for row in rows for caveat in row.caveats):
        terminal.err.print(f"Note: {caveat}", markup=False)
    for line in dict.fromkeys(row.provenance.line() for row in rows):
        terminal.out.print(line, style="dim", markup=False)


eval_command = DefaultGroup("eval", score_command)
