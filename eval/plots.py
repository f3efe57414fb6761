"""Plots of effectiveness and cost, readable without colour: by markers, hatches and filling."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eval.significance import Interval
from lsr.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = "osD^vP*X<>hp"
HATCHES = ("", "//", "..", "xx", "--", "\\\\", "oo", "++", "||", "OO", "**", "/.")
# Of Okabe and Ito (2008), told apart by most people; markers and hatches tell them apart too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
# Costs that lie further apart by this factor stand on a logarithmic axis.
WIDE = 20
# Letters of a name that are shown.
LONGEST = 48


@dataclass(frozen=True, slots=True)
class Point:
    """A system's cost, of which less is better, and its value, of which more is."""

    system: str
    cost: float
    value: float


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other is at least as good as in both and better in one, cheapest first."""
    return sorted(
        (each for each in points if not any(_beats(other, each) for other in points)),
        key=lambda point: (point.cost, point.system),
    )


def _beats(first: Point, second: Point) -> bool:
    return (
        first.cost <= second.cost
        and first.value >= second.value
        and (first.cost, first.value) != (second.cost, second.value)
    )


def draw_tradeoff(points: Sequence[Point], title: str, cost: str, measure: str) -> Figure:
    """Effectiveness over a cost: a marker for each system, filled where it is on the Pareto front.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with _style():
        figure = _figure(7.5, 4.5)
        axis = figure.subplots()
        front = pareto_front(points)
        for place, point in enumerate(points):
            colour = COLOURS[place % len(COLOURS)]
            axis.plot(
                [point.cost], [point.value], linestyle="none",
                marker=MARKERS[place % len(MARKERS)], markersize=9, color=colour,
                markerfacecolor=colour if point in front else "none", label=_label(point.system),
                zorder=3,
            )  # fmt: skip
        axis.plot(
            [point.cost for point in front], [point.value for point in front],
            drawstyle="steps-post", linestyle="--", linewidth=1, color="0.4",
            label="Pareto front (filled)", zorder=2,
        )  # fmt: skip
        costs = [point.cost for point in points]
        if min(costs) > 0 and max(costs) > WIDE * min(costs):
            axis.set_xscale("log")
        axis.set(title=_label(title), xlabel=_label(cost), ylabel=_label(measure))
        axis.grid(alpha=0.3)
        axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize="small")
        return figure


def draw_bars(means: Mapping[str, Interval], title: str, measure: str) -> Figure:
    """A bar for each system with its interval; hatches tell the bars apart.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with _style():
        figure = _figure(7.5, 1.2 + 0.45 * len(means))
        axis = figure.subplots()
        for place, interval in enumerate(means.values()):
            axis.barh(
                place, interval.mean, height=0.7, color=COLOURS[place % len(COLOURS)], alpha=0.45,
                hatch=HATCHES[place % len(HATCHES)], edgecolor="black", linewidth=0.8,
                xerr=[[interval.mean - interval.low], [interval.high - interval.mean]],
                ecolor="black", capsize=4,
            )  # fmt: skip
        axis.set_yticks(range(len(means)), [_label(name) for name in means])
        axis.invert_yaxis()
        axis.set(title=_label(title), xlabel=f"{_label(measure)}, mean and 95 % interval")
        axis.grid(axis="x", alpha=0.3)
        return figure


def draw_differences(
    first: str, second: str, differences: Sequence[float], title: str, measure: str
) -> Figure:
    """What the first system gains on each query, queries in order of it; losses are hatched.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with _style():
        figure = _figure(7.5, 3.2)
        axis = figure.subplots()
        ordered = sorted(differences, reverse=True)
        edges = [place + 0.5 for place in range(len(ordered) + 1)]
        for name, colour, hatch, values in (
            (first, COLOURS[0], "", [max(each, 0.0) for each in ordered]),
            (second, COLOURS[1], "////", [min(each, 0.0) for each in ordered]),
        ):
            axis.stairs(
                values, edges, fill=True, color=colour, alpha=0.6, hatch=hatch, edgecolor="black",
                linewidth=0.3, label=_label(f"{name} better"),
            )  # fmt: skip
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set(
            title=_label(title), xlabel="queries, by difference",
            ylabel=f"difference of {_label(measure)}",
        )  # fmt: skip
        axis.grid(axis="y", alpha=0.3)
        axis.legend(fontsize="small")
        return figure


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write ``name.png`` and ``name.svg``; the same figure gives the same bytes."""
    with _style():
        png, svg = folder / f"{name}.png", folder / f"{name}.svg"
        figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        return [png, svg]


def svg_of(figure: Figure) -> str:
    """The figure as one ``svg`` element, for a page."""
    with _style():
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return "<svg" + written.getvalue().partition("<svg")[2]


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _label(text: str) -> str:
    """What may be a label: not too long, and without ``_`` at its beginning, which would hide it
    from a legend.
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]}…{text[1 - LONGEST // 2 :]}"
    return f" {text}" if text.startswith("_") else text


@contextmanager
def _style() -> Iterator[None]:
    """Names are names and no formulas; ids in SVG depend on what is drawn alone."""
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise MissingDependencyError("plotting", "matplotlib", "plots") from error
    settings = {"text.parse_math": False, "svg.hashsalt": "lsr", "svg.fonttype": "none"}
    with rc_context(settings), warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; SVG keeps it.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield
