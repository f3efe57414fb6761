"""The trade-off curves: effectiveness over FLOPS, non-zeros and time, a line for each method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from eval.plots import COLOURS, MARKERS
from recipe_bench.rows import DF_FLOPS, METHODS, levels, point
from recipe_bench.tables import Tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COSTS = {
    "flops": "FLOPS, terms that a query and a document share",
    "nnz": "non-zeros of a document",
    "microseconds": "µs a query, one core",
}
# Of a table of the points, behind the method.
POINT_COLUMNS = (
    "target", "reached", "strength", "non-zeros", "FLOPS", "µs a query", "nDCG@10 x 100", "seeds",
)  # fmt: skip


def curve(tables: Tables, method: str) -> list[str]:
    """The rows of a method that there are, the sparsest first."""
    return [row for level in levels(method) if (row := point(method, level)) in tables.scores]


def draw(tables: Tables) -> Figure:
    """A panel for each cost, means over collections and seeds.

    Points below half of the best, of trainings that collapsed, would make all others one: they are
    left out, and the legend counts them.
    """
    from matplotlib.figure import Figure

    every = {method: curve(tables, method) for method in METHODS}
    ndcg = {
        row: tables.overall(row, "ndcg_at_10") or 0.0 for rows in every.values() for row in rows
    }
    least = max(ndcg.values(), default=0.0) / 2
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    axes = figure.subplots(1, len(COSTS), sharey=True)
    for axis, (cost, label) in zip(axes, COSTS.items(), strict=True):
        for place, method in enumerate(METHODS):
            rows = [row for row in every[method] if ndcg[row] >= least]
            left = len(every[method]) - len(rows)
            axis.plot(
                [tables.overall(row, cost) for row in rows],
                [100 * ndcg[row] for row in rows],
                marker=MARKERS[place], color=COLOURS[place], linewidth=1, markersize=6,
                markerfacecolor="none", label=f"{method} ({left} below half)" if left else method,
            )  # fmt: skip
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("nDCG@10 x 100, mean of the collections")
    axes[0].legend(fontsize="small")
    return figure


def point_rows(tables: Tables) -> Iterator[list[str]]:
    """Of each point: its target, what it reached, its costs and nDCG@10."""
    for method in METHODS:
        for level in levels(method):
            row = point(method, level)
            if row not in tables.scores:
                continue
            reached = tables.fact(row, "nnz")
            strength = tables.fact(row, "strength")
            yield [
                method,
                "–" if method == DF_FLOPS else f"{level:g}",
                "–" if reached is None else f"{reached:.0f}",
                "–" if strength is None else f"{strength:.2g}",
                *(
                    tables.number(row, cost, digits)
                    for cost, digits in (("nnz", 0), ("flops", 2), ("microseconds", 1))
                ),
                f"{100 * (tables.overall(row, 'ndcg_at_10') or 0.0):.1f}",
                str(len(tables.scores[row])),
            ]
