"""``lsr eval compare``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsr.errors import UsageError
from service.commands.options import json_option, trust_option

if TYPE_CHECKING:
    from eval.compared import Judgements, System
    from eval.comparison import PairComparison
    from eval.datasets import Dataset
    from eval.query_changes import QueryChange
    from lsr.trusted_code import TrustedCode


@click.command("compare")
@click.argument("given", metavar="A B...", nargs=-1, required=True)
@click.option("--dataset", "name", metavar="SET", help="What runs and encoders are scored on.")
@click.option("--split", default="test", show_default=True, help="Qrels of a BEIR folder.")
@click.option(
    "--qrels", type=click.Path(path_type=Path), help="Score runs by these judgements instead."
)
@click.option("--measure", default="nDCG@10", show_default=True, metavar="NAME")
@click.option(
    "--baseline", metavar="NAME", help="Compare all with this one, instead of all with each other."
)
@click.option(
    "--depth", type=click.IntRange(min=1),
    help="Results per query of encoders.  [default: as many as the measure needs]",
)  # fmt: skip
@click.option(
    "--queries", default=5, show_default=True, type=click.IntRange(min=0),
    help="How many of the queries that changed most are shown.",
)  # fmt: skip
@click.option(
    "--top", default=5, show_default=True, type=click.IntRange(min=1),
    help="How many hits of each ranking are shown.",
)  # fmt: skip
@trust_option
@json_option
def compare_command(
    given: Sequence[str],
    name: str | None,
    split: str,
    qrels: Path | None,
    measure: str,
    baseline: str | None,
    depth: int | None,
    queries: int,
    top: int,
    trusted: TrustedCode,
    as_json: bool,
) -> None:
    """Compare systems query by query: whether one is better, and where.

    A and B are TREC runs, files or folders of results that lsr eval wrote, or encoders; runs and
    encoders need --dataset. Shown are paired tests with Holm's correction, and the queries that
    changed most from the first system to each other, with the terms responsible.
    """
    from eval.comparison import compare_systems
    from eval.measures import parse_measures
    from eval.query_changes import changed_queries

    parse_measures([measure])
    if name is not None and qrels is not None:
        raise UsageError("--dataset has judgements of its own; leave out --qrels, or --dataset")
    with ExitStack() as opened:
        dataset, judged = _judgements(name, split, qrels)
        found = _systems(given, dataset, judged, measure, depth, trusted, opened)
        shown: list[dict[str, Any]] = []
        for place, (of, systems) in enumerate(found.items()):
            reference = next((one for one in systems if one.name == baseline), systems[0])
            pairs = compare_systems({one.name: one.scores for one in systems}, measure, baseline)
            changes = [
                (one, changed_queries(reference, one, judged, queries, top))
                for one in systems
                if one is not reference
            ]
            if as_json:
                shown.append(_json(of, measure, systems, pairs, reference, changes))
                continue
            _print(of, systems, pairs, reference, changes, blank=place > 0)
    if as_json:
        from service.commands import terminal

        terminal.print_json({"datasets": shown})


def _judgements(
    name: str | None, split: str, qrels: Path | None
) -> tuple[Dataset | None, Judgements | None]:
    from eval.compared import Judgements
    from eval.datasets import load_dataset
    from lsr.corpus.qrels import read_qrels

    if qrels is not None:
        return None, Judgements(qrels.name, read_qrels(qrels))
    if name is None:
        return None, None
    loaded = load_dataset(name, split)
    texts = {query.id: query.text for query in loaded.queries}
    return loaded, Judgements(loaded.name, loaded.qrels, texts, loaded.drops_self)


def _systems(
    given: Sequence[str],
    dataset: Dataset | None,
    judged: Judgements | None,
    measure: str,
    depth: int | None,
    trusted: TrustedCode,
    opened: ExitStack,
) -> dict[str, list[System]]:
    """By data set, those with two systems or more."""
    from eval.compared import is_file_of_results, searched_systems, systems_in, with_distinct_names
    from service.commands.evaluate import evaluation_progress

    for_encoders = [argument for argument in given if not is_file_of_results(argument)]
    if for_encoders and dataset is None:
        raise UsageError(
            f"{for_encoders[0]!r} is no file of results, and an encoder is compared on a data set; "
            "give --dataset, or the path of a run or of results"
        )
    read: list[tuple[str, list[System]]] = []
    for argument in given:
        if argument in for_encoders and dataset is not None:
            progress = evaluation_progress()
            read.append((argument, searched_systems(
                dataset, argument, measure, depth, opened, progress, trusted)))  # fmt: skip
        else:
            read.append((argument, systems_in(argument, judged, measure)))
    found = with_distinct_names(read)
    several = {of: systems for of, systems in found.items() if len(systems) > 1}
    if not several:
        there = ", ".join(f"{one.name} on {of}" for of, systems in found.items() for one in systems)
        raise UsageError(
            f"there is nothing to compare: {there or 'no result'}; give two systems or more that "
            "were scored on the same data set"
        )
    return several


def _json(
    of: str,
    measure: str,
    systems: Sequence[System],
    pairs: Sequence[PairComparison],
    reference: System,
    changes: Sequence[tuple[System, Sequence[QueryChange]]],
) -> dict[str, Any]:
    from eval.significance import bootstrap_interval

    means = [(one.name, bootstrap_interval(list(one.scores.values()))) for one in systems]
    return {
        "dataset": of,
        "measure": measure,
        "queries": len(systems[0].scores),
        "systems": [
            {"name": name, "mean": mean.mean, "low": mean.low, "high": mean.high}
            for name, mean in means
        ],
        "pairs": [pair.to_json() for pair in pairs],
        "changes": [
            {
                "first": reference.name,
                "second": one.name,
                "queries": [each.to_json() for each in changed],
            }
            for one, changed in changes
        ],
    }


def _print(
    of: str,
    systems: Sequence[System],
    pairs: Sequence[PairComparison],
    reference: System,
    changes: Sequence[tuple[System, Sequence[QueryChange]]],
    blank: bool,
) -> None:
    from service.commands import terminal
    from service.commands.comparison_output import print_pairs, print_query_change

    if blank:
        terminal.out.print()
    terminal.out.print(f"{of}, {len(systems[0].scores)} queries", style="bold", markup=False)
    print_pairs(pairs)
    for one, changed in changes:
        terminal.out.print(
            f"\nqueries that changed most, {reference.name} -> {one.name}"
            if changed
            else f"\nno query changed, {reference.name} -> {one.name}",
            style="bold", markup=False,
        )  # fmt: skip
        for each in changed:
            print_query_change(each, reference.name, one.name)
