"""The plots of results: means with intervals, effectiveness over costs, differences of queries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from eval.cell import Cell
from eval.compared import by_dataset, main_measure
from eval.names import distinct_names
from eval.plots import Point, draw_bars, draw_differences, draw_tradeoff, save_figure
from eval.saved_runs import file_name
from eval.significance import bootstrap_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Kind of plot, the cost that it is over, and what the axis says.
COSTS = (
    ("latency", "ms_p50", "milliseconds a query alone, median"),
    ("time", "ms_per_query", "milliseconds a query of a batch, mean"),
    ("flops", "flops", "FLOPS, products of weights that a query and a document share"),
    ("non-zeros", "document_nonzeros", "non-zeros of a document, mean"),
)


@dataclass(frozen=True)
class Plot:
    """A figure of one data set; ``kind`` says what it shows, ``name`` is fit for a file."""

    dataset: str
    kind: str
    name: str
    figure: Figure


def plots_of(cells: Sequence[Cell], measure: str | None = None) -> Iterator[Plot]:
    """The plots of each data set, as far as the results have what they show.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        UsageError: as for ``main_measure``.
    """
    chosen = main_measure(cells, measure)
    drawings = {
        (dataset, kind): draw
        for dataset, systems in by_dataset(cells).items()
        for kind, draw in _drawings(dataset, systems, chosen)
    }
    names = distinct_names([drawings], lambda key, parts: file_name(*key), str.casefold)
    for (dataset, kind), draw in drawings.items():
        yield Plot(dataset, kind, names[dataset, kind], draw())


def _drawings(
    dataset: str, systems: dict[str, Cell], measure: str
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """The kinds of plots that there are, each with what draws it."""
    values = {name: cell.per_query.get(measure, {}) for name, cell in systems.items()}
    means = {
        name: bootstrap_interval(list(each.values()))
        for name, each in values.items()
        if len(each) > 1
    }
    if means:
        yield "means", partial(draw_bars, means, dataset, measure)
    for kind, cost, axis in COSTS:
        points = [
            Point(name, cell.costs[cost], cell.measures[measure])
            for name, cell in systems.items()
            if math.isfinite(cell.costs.get(cost, math.nan))
        ]
        if len(points) > 1:
            yield kind, partial(draw_tradeoff, points, dataset, axis, measure)
    reference, *others = means or [""]
    for other in others:
        gains = [
            values[other][query] - values[reference][query]
            for query in values[reference]
            if query in values[other]
        ]
        title = f"{dataset}: {other} against {reference}"
        yield (
            f"{other}-against-{reference}",
            partial(draw_differences, other, reference, gains, title, measure),
        )


def write_plots(cells: Sequence[Cell], folder: Path, measure: str | None = None) -> list[Path]:
    """Write each plot as PNG and as SVG into a folder, made where it is missing.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        UsageError: as for ``main_measure``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [
        path
        for plot in plots_of(cells, measure)
        for path in save_figure(plot.figure, folder, plot.name)
    ]
