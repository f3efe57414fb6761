"""``lsr eval --against published``: numbers of others beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lsr.errors import UsageError

if TYPE_CHECKING:
    from eval.cell import Cell
    from eval.published import PublishedNumber

PUBLISHED = "published"


def check_published(datasets: Sequence[str], measures: Sequence[str]) -> None:
    """Raise UsageError, before any work, where nothing of ours has a published number."""
    from eval.published import MEASURE, published_name, published_systems

    if MEASURE not in measures:
        raise UsageError(
            f"--against {PUBLISHED} compares {MEASURE}, and measured is {', '.join(measures)}; "
            f"give --measure {MEASURE} too"
        )
    if not any(published_name(each) for each in datasets):
        known = dict.fromkeys(name for each in published_systems() for name in each.printed)
        raise UsageError(
            f"no number is published of {', '.join(datasets)}; there are numbers of "
            f"{', '.join(known)}"
        )


def published_json(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """What was published of the data sets of these results, and of their mean."""
    return [each.to_json() for numbers in _numbers(cells).values() for each in numbers]


def print_published(cells: Sequence[Cell]) -> None:
    """A table for each data set, and for the mean over those that others have measured too: ours,
    marked by ``*``, among the published, the best first.
    """
    from eval.compared import by_dataset
    from eval.published import MEASURE, published_name
    from service.commands import terminal
    from service.commands.comparison_output import print_plain_table

    datasets = by_dataset(cells)
    known = {name: each for name, each in datasets.items() if published_name(name)}
    for title, numbers in _numbers(cells).items():
        rows = [(each.value, each.system, "; ".join(each.differs)) for each in numbers]
        for system in dict.fromkeys(name for each in datasets.values() for name in each):
            own = [datasets[title]] if title in datasets else list(known.values())
            if all(system in each for each in own):
                mean = sum(each[system].measures[MEASURE] for each in own) / len(own)
                rows.append((mean, f"* {system}", "ours"))
        rows.sort(key=lambda row: -row[0])
        terminal.out.print(f"\n{title}, {MEASURE}, * ours", style="bold", markup=False)
        print_plain_table(
            ("system", MEASURE, "conditions"),
            [(name, f"{value:.4f}", said) for value, name, said in rows],
        )
    sources = {each.system: each for numbers in _numbers(cells).values() for each in numbers}
    for each in sources.values():
        terminal.out.print(
            f"{each.system}: {each.source}, {each.url} ({each.seen})", style="dim", markup=False
        )


def _numbers(cells: Sequence[Cell]) -> dict[str, list[PublishedNumber]]:
    """By what they are of."""
    from eval.compared import by_dataset
    from eval.published import published_means, published_numbers

    found: dict[str, list[PublishedNumber]] = {}
    for dataset, systems in by_dataset(cells).items():
        first = next(iter(systems.values()))
        if numbers := published_numbers(dataset, first.documents, first.queries):
            found[dataset] = numbers
    for each in published_means(list(found)):
        found.setdefault(each.dataset, []).append(each)
    return found
