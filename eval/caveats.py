"""What a reader of a number should know: queries that count as 0, rankings that were cut."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.datasets import Dataset
from eval.measures import parse_measures
from eval.run import Run, read_run, without_self
from lsr.errors import UsageError

SHOWN = 5
# A ranking of fewer may well be all that there is.
LEAST_CUT = 10


def queries_without_text(dataset: Dataset) -> list[str]:
    """That some queries of the dataset have no text; empty where all have."""
    blank = dataset.without_text
    return [f"without text, and so counted as 0: {_queries(blank)}"] if blank else []


def read_run_of(dataset: Dataset, path: Path) -> Run:
    """The run of a TREC file, as it counts for a dataset: without documents that are the query.

    Raises:
        InputError: the file is malformed.
        UsageError: it has none of the judged queries.
    """
    run = read_run(path)
    if not any(query in run for query in dataset.qrels):
        has = f"such as {next(iter(run))!r}" if run else "as it is empty"
        raise UsageError(
            f"{path} has no ranking for a judged query of {dataset.name!r}, {has}; give a run for "
            "these queries, or the right --split"
        )
    return without_self(run) if dataset.drops_self else run


def of_loaded_run(dataset: Dataset, run: Run, measures: Sequence[str]) -> list[str]:
    """What should be known of a run from a file: queries that it lacks, and where it was cut."""
    found = []
    lacking = [query for query in dataset.qrels if query not in run]
    if lacking:
        found.append(f"without a ranking in the run, and so counted as 0: {_queries(lacking)}")
    lengths = [len(run.get(query, ())) for query in dataset.qrels]
    longest = max(lengths, default=0)
    cutoffs = {name: each.cutoff or 0 for name, each in parse_measures(measures).items()}
    deeper = [name for name, cutoff in cutoffs.items() if cutoff > longest]
    # The same length again and again is where a system stopped.
    if deeper and longest >= LEAST_CUT and lengths.count(longest) * 2 >= len(lengths):
        found.append(
            f"the run has at most {longest} results per query, so that {', '.join(deeper)} can't "
            "see more"
        )
    return found


def _queries(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
    return f"{len(names)} {'query' if len(names) == 1 else 'queries'} ({shown})"
