"""Rank-biased overlap against the definition, and published values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.overlap import mean_overlap, rank_biased_overlap

rankings = st.lists(st.sampled_from("abcdefghijkl"), unique=True, max_size=10)


def plain(first, second, k, p):
    """The sum of the definition, each overlap counted anew."""
    k = min(k, max(len(first), len(second)))
    if k == 0:
        return 1.0
    overlaps = [len({*first[:d]} & {*second[:d]}) for d in range(1, k + 1)]
    total = sum(overlap / d * p**d for d, overlap in enumerate(overlaps, start=1))
    return overlaps[-1] / k * p**k + (1 - p) / p * total


@given(rankings, rankings, st.integers(1, 12), st.sampled_from([0.5, 0.9, 0.98]))
def test_overlap_is_that_of_the_definition(first, second, k, p):
    found = rank_biased_overlap(first, second, k, p)
    assert found == pytest.approx(plain(first, second, k, p))
    assert found == pytest.approx(rank_biased_overlap(second, first, k, p))
    assert -1e-9 <= found <= 1 + 1e-9
    assert rank_biased_overlap(first, first, k, p) == pytest.approx(1)


def test_overlap_falls_with_the_rank_of_what_differs():
    same = list("abcde")
    assert rank_biased_overlap(same, list("vwxyz"), 5) == 0
    early, late = list("bacde"), list("abced")
    assert rank_biased_overlap(same, early, 5) < rank_biased_overlap(same, late, 5) < 1
    # By hand: overlaps 1, 1, 2 of 3 at p = 0.5.
    assert rank_biased_overlap(list("abc"), list("adb"), 3, 0.5) == pytest.approx(
        2 / 3 * 0.125 + (1 * 0.5 + 0.5 * 0.25 + 2 / 3 * 0.125)
    )


def test_the_mean_is_over_all_queries():
    run = {"q1": [("a", 2.0), ("b", 1.0)], "q2": [("a", 1.0)], "q3": []}
    other = {"q1": [("a", 9.0), ("b", 8.0)], "q3": []}
    assert mean_overlap(run, other, 10) == pytest.approx((1 + 0 + 1) / 3)
    assert mean_overlap({}, other, 10) == 0
