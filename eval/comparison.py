"""Several systems on the same queries: pairs tested, and corrected for how many they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

from eval.cell import Cell
from eval.significance import (
    Interval,
    bootstrap_interval,
    effect_size,
    holm,
    paired_scores,
    paired_t_test,
    randomisation_test,
    wins_ties_losses,
)
from lsr.errors import UsageError

LEVEL = 0.05
Scores = Mapping[str, float]
"""Query id to what a measure says of it."""


@dataclass(frozen=True, slots=True)
class PairComparison:
    """Two systems on the queries of one data set, by one measure.

    ``interval`` is of the mean of the differences, ``first`` minus ``second``, with 95 %
    confidence by bootstrap. ``t_p`` and ``randomisation_p`` are two-sided, the same with ``_holm``
    corrected for all pairs of the comparison. ``effect`` is Cohen's d_z, None where every query
    differs by the same. ``wins`` are of the first.
    """

    first: str
    second: str
    measure: str
    queries: int
    first_mean: float
    second_mean: float
    interval: Interval
    t_p: float
    t_p_holm: float
    randomisation_p: float
    randomisation_p_holm: float
    effect: float | None
    wins: int
    ties: int
    losses: int

    @property
    def difference(self) -> float:
        """Of the means, first minus second."""
        return self.interval.mean

    @property
    def is_significant(self) -> bool:
        """Whether the corrected randomisation test tells the two apart, at 0.05."""
        return self.randomisation_p_holm < LEVEL

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self) | {"difference": self.difference, "significant": self.is_significant}


def compare_systems(
    systems: Mapping[str, Scores], measure: str, baseline: str | None = None
) -> list[PairComparison]:
    """Compare each pair, or each system with a baseline, and correct by Holm over these pairs.

    Args:
        systems: by name, the measure of each query.
        measure: what it is called.
        baseline: the name of what all others are compared with; None: all pairs are compared, in
            the order of the systems.

    Raises:
        UsageError: there is no such baseline, or systems have other queries, or fewer than two.
    """
    if baseline is not None and baseline not in systems:
        raise UsageError(
            f"there is no system {baseline!r} to compare with; there are {', '.join(systems)}"
        )
    pairs = (
        list(combinations(systems, 2))
        if baseline is None
        else [(name, baseline) for name in systems if name != baseline]
    )
    found = [_compared(systems, first, second, measure) for first, second in pairs]
    t_ps = holm([each.t_p for each in found])
    randomisation_ps = holm([each.randomisation_p for each in found])
    return [
        replace(each, t_p_holm=t_p, randomisation_p_holm=randomisation_p)
        for each, t_p, randomisation_p in zip(found, t_ps, randomisation_ps, strict=True)
    ]


def _compared(
    systems: Mapping[str, Scores], first: str, second: str, measure: str
) -> PairComparison:
    scores = systems[first], systems[second]
    ours, theirs = paired_scores(*scores)
    t_p, randomisation_p = paired_t_test(*scores).p, randomisation_test(*scores).p
    wins, ties, losses = wins_ties_losses(*scores)
    return PairComparison(
        first=first, second=second, measure=measure, queries=len(ours),
        first_mean=float(ours.mean()), second_mean=float(theirs.mean()),
        interval=bootstrap_interval(list(ours - theirs)),
        t_p=t_p, t_p_holm=t_p, randomisation_p=randomisation_p,
        randomisation_p_holm=randomisation_p, effect=effect_size(*scores),
        wins=wins, ties=ties, losses=losses,
    )  # fmt: skip


def comparable(systems: Mapping[str, Cell], measure: str) -> dict[str, Scores]:
    """The measure of each query by the systems of a data set that have it for the same queries.

    Empty where these are fewer than two, or the queries are.
    """
    scores = {name: cell.per_query.get(measure, {}) for name, cell in systems.items()}
    queries = next((each.keys() for each in scores.values() if len(each) > 1), None)
    found = {name: each for name, each in scores.items() if each.keys() == queries}
    return found if len(found) > 1 else {}


@dataclass(frozen=True, slots=True)
class Marks:
    """What a table of means shows of significance.

    ``letters`` has what stands before each system, ``better`` what it is better than: letters of
    systems, or ``+`` and ``-`` of a baseline. ``legend`` says so in one sentence.
    """

    letters: Mapping[str, str]
    better: Mapping[str, str]
    legend: str


def significance_marks(
    systems: Sequence[str], found: Sequence[PairComparison], baseline: str | None = None
) -> Marks:
    """Marks of what ``compare_systems`` found."""
    letters = {name: _letter(place) for place, name in enumerate(systems)}
    over = f"paired randomisation test, Holm over {_pairs(len(found))}, p < {LEVEL}"
    better: dict[str, list[str]] = {name: [] for name in systems}
    for pair in found:
        if not pair.is_significant:
            continue
        won = pair.difference > 0
        if baseline is None:
            winner, loser = (pair.first, pair.second) if won else (pair.second, pair.first)
            better[winner].append(letters[loser])
        else:
            better[pair.first].append("+" if won else "-")
    marks = {name: ("" if baseline else " ").join(sorted(own)) for name, own in better.items()}
    if baseline is None:
        legend = f"letters: significantly better than these rows by {_measure(found)} ({over})"
        return Marks(letters, marks, legend)
    legend = (
        f"+ and -: significantly better and worse than {baseline} by {_measure(found)} ({over})"
    )
    return Marks(dict.fromkeys(systems, ""), marks, legend)


def _measure(found: Sequence[PairComparison]) -> str:
    return found[0].measure if found else "mean"


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"


def _letter(place: int) -> str:
    """a to z, then aa, ab, ..."""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters
