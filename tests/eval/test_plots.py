"""Plots: what is drawn of points and means, and what is written."""

import builtins
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.plots import (
    LONGEST,
    Point,
    draw_bars,
    draw_differences,
    draw_tradeoff,
    pareto_front,
    save_figure,
    svg_of,
)
from eval.significance import Interval
from lsr.errors import MissingDependencyError

NASTY = ["_hidden", "$x^", "<b>&\"'", "文書", "a" * 90, ""]
POINTS = [Point(name, 1.0 + 10 * place, 0.5 + place / 20) for place, name in enumerate(NASTY)]
SMALL = st.integers(0, 5).map(float)


@given(st.lists(st.builds(Point, st.sampled_from("abcdef"), SMALL, SMALL), max_size=12))
def test_the_front_has_what_nothing_beats(points):
    front = pareto_front(points)
    for point in points:
        beaten = any(
            other.cost <= point.cost
            and other.value >= point.value
            and (other.cost < point.cost or other.value > point.value)
            for other in points
        )
        assert (point in front) is not beaten
    assert [point.cost for point in front] == sorted(point.cost for point in front)


def figures():
    pytest.importorskip("matplotlib")
    yield draw_tradeoff(POINTS, "_set $1", "ms a query", "nDCG@10")
    yield draw_bars({name: Interval(0.5, 0.4, 0.55) for name in NASTY}, "<set>", "nDCG@10")
    yield draw_differences("_a", "$b", [0.3, -0.2, 0.0, 0.1], "title", "nDCG@10")
    yield draw_differences("a", "b", [0.01 * (n - 300) for n in range(600)], "t", "nDCG@10")
    yield draw_tradeoff([Point("one", 0.0, 0.5)], "t", "c", "m")


def texts(svg):
    return "".join(ET.fromstring(svg).itertext())


def test_names_of_any_kind_are_drawn_as_they_are():
    tradeoff, bars, differences, *others = map(svg_of, figures())
    for name in NASTY:
        shown = name if len(name) <= LONGEST else name[: LONGEST // 2] + "…"
        assert shown in texts(tradeoff)
        assert shown in texts(bars)
    assert "$b better" in texts(differences)
    assert all(other.startswith("<svg") for other in others)


def test_systems_are_told_apart_without_colour():
    pytest.importorskip("matplotlib")
    points = [Point("a", 1, 0.5), Point("b", 2, 0.4), Point("c", 3, 0.6)]
    lines = draw_tradeoff(points, "t", "c", "m").axes[0].get_lines()
    assert len({line.get_marker() for line in lines[:3]}) == 3
    assert [line.get_markerfacecolor() == "none" for line in lines[:3]] == [False, True, False]
    bars = draw_bars({name: Interval(0.5, 0.4, 0.6) for name in "abc"}, "t", "m").axes[0].patches
    assert len({bar.get_hatch() for bar in bars}) == 3


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    for place in range(2):
        pytest.importorskip("matplotlib")
        figure = draw_bars({"a": Interval(0.5, 0.4, 0.6)}, "t", "m")
        png, svg = save_figure(figure, tmp_path, f"{place}")
        assert png.read_bytes().startswith(b"\x89PNG")
        assert ET.fromstring(svg.read_bytes()).tag.endswith("svg")
    for kind in ("png", "svg"):
        assert len({path.read_bytes() for path in tmp_path.glob(f"*.{kind}")}) == 1


def test_without_matplotlib_the_install_line_is_named(monkeypatch):
    imported = builtins.__import__

    def without(name, *rest, **named):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return imported(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"lsr-search\[plots\]"):
        draw_tradeoff(POINTS, "t", "c", "m")
