"""Rows beside each other: at equal target, and at equal FLOPS, with paired tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log
from statistics import fmean

from eval.significance import PairedTest, holm, paired_t_test
from recipe_bench.scores import Score

LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """Collection to the difference of nDCG@10, first minus second, with p by Holm over them.

    A collection on which the two can't be compared has None.
    """

    tests: Mapping[str, PairedTest | None]

    @property
    def difference(self) -> float | None:
        """Mean over the collections that can be compared."""
        found = [test.difference for test in self.tests.values() if test is not None]
        return fmean(found) if found else None

    @property
    def compared(self) -> int:
        """On how many collections."""
        return sum(test is not None for test in self.tests.values())

    def significant(self, sign: int) -> int:
        """On how many collections the first is significantly better (1), or worse (-1)."""
        return sum(
            test is not None and test.p < LEVEL and test.difference * sign > 0
            for test in self.tests.values()
        )


def compare(first: Mapping[str, Score], second: Mapping[str, Score | None]) -> Comparison:
    """Paired t-tests over the queries of each collection."""
    tests = {
        name: paired_t_test(score.per_query, other.per_query)
        for name, score in first.items()
        if (other := second[name]) is not None
    }
    raised = dict(zip(tests, holm([test.p for test in tests.values()]), strict=True))
    return Comparison(
        {
            name: PairedTest(tests[name].difference, raised[name]) if name in tests else None
            for name in first
        }
    )


def at_flops(curve: Sequence[Mapping[str, Score]], asked: Mapping[str, Score]) -> dict[
    str, Score | None
]:  # fmt: skip
    """What the method of a curve scores at the FLOPS that another row has on each collection.

    Each query's score is interpolated between the two points beside, linearly over the logarithm
    of FLOPS; None where the curve does not reach.
    """
    return {
        name: _between([point[name] for point in curve], score.flops)
        for name, score in asked.items()
    }


def _between(points: Sequence[Score], flops: float | None) -> Score | None:
    ordered = sorted(
        (point for point in points if point.flops), key=lambda point: point.flops or 0.0
    )
    for low, high in pairwise(ordered):
        if flops and low.flops and high.flops and low.flops <= flops <= high.flops:
            width = log(high.flops / low.flops)
            share = log(flops / low.flops) / width if width else 0.0
            values = {
                query: (1 - share) * value + share * high.per_query[query]
                for query, value in low.per_query.items()
            }
            ndcg = (1 - share) * low.ndcg_at_10 + share * high.ndcg_at_10
            return replace(low, ndcg_at_10=ndcg, flops=flops, per_query=values)
    return None
