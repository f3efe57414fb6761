"""Fusion: one ranking from several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lsr.errors import InputError

LARGEST_WEIGHT = 1e6


@dataclass(frozen=True, slots=True)
class ReciprocalRankFusion:
    """Cormack, Clarke and Buettcher (2009): score(d) = sum over rankings of w / (k + rank(d)).

    Ranks start at 1; a ranking that lacks a document adds nothing. ``weights`` names a weight for
    some or all of the rankings; the others have 1.
    """

    k: float = 60.0
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.k) and self.k >= 0):
            raise InputError(f"the RRF constant k is {self.k}; allowed is 0 or more")
        for name, weight in self.weights.items():
            if not 0 <= weight <= LARGEST_WEIGHT:
                raise InputError(
                    f"the RRF weight of {name!r} is {weight}; allowed is 0 to {LARGEST_WEIGHT:,.0f}"
                )

    def check_names(self, rankings: Sequence[str]) -> None:
        """Refuse weights of what is not among the rankings.

        Raises:
            InputError: there is such a weight.
        """
        unknown = [name for name in self.weights if name not in rankings]
        if unknown:
            raise InputError(
                f"the RRF weights name {unknown[0]!r}, which is no ranking of this search; there "
                f"are: {', '.join(rankings)}"
            )

    def fuse(self, rankings: Mapping[str, Sequence[tuple[int, float]]]) -> list[tuple[int, float]]:
        """Documents with fused scores; score descending, then document ascending."""
        scores: dict[int, float] = {}
        for name, ranking in rankings.items():
            weight = self.weights.get(name, 1.0)
            for rank, (document, _) in enumerate(ranking, start=1):
                scores[document] = scores.get(document, 0.0) + weight / (self.k + rank)
        return sorted(scores.items(), key=lambda scored: (-scored[1], scored[0]))
