"""Which of the systems of a table are better than which, data set by data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.cell import Cell
from eval.compared import by_dataset
from eval.comparison import Marks, PairComparison, comparable, compare_systems, significance_marks
from lsr.errors import UsageError


@dataclass(frozen=True)
class Significance:
    """Tests of the systems of each data set, by one measure.

    ``pairs`` has all of them by data set. A table shows by the place of a row among the results its
    letter and, under ``heading``, what it is better than; ``legends`` are sentences.
    """

    measure: str
    pairs: Mapping[str, Sequence[PairComparison]]
    letters: Mapping[int, str]
    better: Mapping[int, str]
    heading: str
    legends: Sequence[str]

    def to_json(self) -> list[dict[str, Any]]:
        """Each pair with its data set."""
        return [
            {"dataset": dataset, **pair.to_json()}
            for dataset, pairs in self.pairs.items()
            for pair in pairs
        ]


def significance_of(
    cells: Sequence[Cell], measure: str, baseline: str | None = None
) -> Significance:
    """Test the systems of each data set that more than one was scored on.

    Args:
        cells: the results, with the values of each query.
        measure: such as ``nDCG@10``.
        baseline: the system that the others are tested against, by its name in ``by_dataset`` or
            by its encoder where one row has it; None: all pairs are tested.

    Raises:
        UsageError: a data set has no such baseline.
    """
    pairs, letters, better = {}, dict[int, str](), dict[int, str]()
    legends: dict[str, None] = {}
    places = {id(cell): place for place, cell in enumerate(cells)}
    for dataset, systems in by_dataset(cells).items():
        scores = comparable(systems, measure)
        if not scores:
            continue
        against = None if baseline is None else _named(baseline, systems, dataset)
        pairs[dataset] = compare_systems(scores, measure, against)
        marks: Marks = significance_marks(list(scores), pairs[dataset], against)
        legends[marks.legend] = None
        for name in scores:
            place = places[id(systems[name])]
            letters[place], better[place] = marks.letters[name], marks.better[name]
    heading = "better than" if baseline is None else f"than {baseline}"
    return Significance(measure, pairs, letters, better, heading, list(legends))


def _named(baseline: str, systems: Mapping[str, Cell], dataset: str) -> str:
    by_encoder = [name for name, cell in systems.items() if cell.encoder == baseline]
    if baseline in systems or len(by_encoder) != 1:
        by_encoder = [baseline] if baseline in systems else []
    if not by_encoder:
        raise UsageError(
            f"there is no system {baseline!r} on {dataset} to compare with; there are "
            f"{', '.join(systems)}"
        )
    return by_encoder[0]
