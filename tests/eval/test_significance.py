"""Paired tests against their formula and all sign flips; Holm's correction against its steps."""

import itertools
import math
import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from eval.significance import (
    Interval,
    PairedTest,
    bootstrap_interval,
    effect_size,
    holm,
    mean_interval,
    paired_t_test,
    randomisation_test,
    wins_ties_losses,
)
from lsr.errors import UsageError

SCORES = st.floats(0, 1, width=32)
PAIRS = st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=11)


def by_query(values):
    return {f"q{number}": value for number, value in enumerate(values)}


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=30))
def test_the_t_test_is_its_formula(pairs):
    first, second = map(list, zip(*pairs, strict=True))
    found = paired_t_test(by_query(first), by_query(second))
    assert math.isclose(found.difference, np.mean(first) - np.mean(second), abs_tol=1e-12)
    differences = np.subtract(first, second)
    if np.ptp(differences) > 1e-6:
        error = differences.std(ddof=1) / math.sqrt(len(pairs))
        statistic = abs(differences.mean()) / error
        expected = 2 * scipy.stats.t.sf(statistic, len(pairs) - 1)
        assert math.isclose(found.p, expected, rel_tol=1e-6, abs_tol=1e-12)
    elif not differences.any():
        assert found.p == 1
    opposite = paired_t_test(by_query(second), by_query(first))
    assert math.isclose(found.p, opposite.p, rel_tol=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_the_t_test_is_near_the_test_of_all_sign_flips(shift):
    differences = np.random.default_rng(3).normal(shift, 0.2, 14)
    signs = np.array(list(itertools.product([-1, 1], repeat=len(differences))))
    means = np.abs((signs * differences).mean(axis=1))
    exact = np.mean(means >= abs(differences.mean()) - 1e-12)
    found = paired_t_test(by_query(differences), by_query(np.zeros(14)))
    assert abs(found.p - exact) < 0.02


def test_order_of_queries_does_not_matter():
    first, second = by_query([0.1, 0.9, 0.4]), by_query([0.2, 0.3, 0.1])
    turned = dict(reversed(second.items()))
    assert paired_t_test(first, second) == paired_t_test(first, turned)


def test_the_same_scores_differ_by_nothing_and_constant_gains_surely():
    assert paired_t_test(by_query([0.5, 0.25]), by_query([0.5, 0.25])) == PairedTest(0.0, 1.0)
    assert paired_t_test(by_query([1.0, 0.75]), by_query([0.5, 0.25])) == PairedTest(0.5, 0.0)


@pytest.mark.parametrize(
    ("first", "second"), [([], []), ([0.5], [0.5]), ([0.5, 0.5], [0.5]), ([0.5], [0.5, 0.5])]
)
def test_other_or_too_few_queries_are_refused(first, second):
    with pytest.raises(UsageError, match="queries"):
        paired_t_test(by_query(first), by_query(second))


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.001, 0.5))
def test_holm_rejects_what_its_steps_reject(p_values, level):
    rejected = set()
    for step, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[place] * (len(p_values) - step) > level:
            break
        rejected.add(place)
    raised = holm(p_values)
    assert {place for place, p in enumerate(raised) if p <= level} == rejected
    assert all(p <= value <= 1 for p, value in zip(p_values, raised, strict=True))


@given(st.lists(SCORES, min_size=2, max_size=30), st.sampled_from([0.5, 0.95, 0.99]))
def test_the_interval_of_a_mean_is_that_of_scipy(values, confidence):
    found = mean_interval(values, confidence)
    assert math.isclose(found.mean, np.mean(values), abs_tol=1e-12)
    if np.ptp(values) > 1e-6:
        error = scipy.stats.sem(values)
        low, high = scipy.stats.t.interval(confidence, len(values) - 1, np.mean(values), error)
        assert (found.low, found.high) == (
            pytest.approx(low, abs=1e-9),
            pytest.approx(high, abs=1e-9),
        )


def test_an_interval_of_one_query_is_refused():
    with pytest.raises(UsageError, match="two queries or more"):
        mean_interval([0.5])


@given(PAIRS)
def test_the_randomisation_test_is_scipys(pairs):
    """Where all choices are tried, and no difference is lost in the last digits."""
    ours, theirs = (np.round(column, 3) for column in np.array(pairs).T)
    found = randomisation_test(by_query(ours), by_query(theirs), rounds=1 << 11)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = scipy.stats.permutation_test(
            (ours - theirs,), np.mean, permutation_type="samples", n_resamples=1 << 11
        )
    assert found.p == pytest.approx(expected.pvalue)
    assert found.difference == pytest.approx((ours - theirs).mean())


def test_of_many_queries_random_choices_come_near_scipys():
    random = np.random.default_rng(3)
    ours = random.random(60)
    for shift in (0.0, 0.05, 0.1):
        theirs = ours + random.normal(shift, 0.25, 60)
        found = randomisation_test(by_query(ours), by_query(theirs), rounds=20_000)
        expected = scipy.stats.permutation_test(
            (ours - theirs,), np.mean, permutation_type="samples", n_resamples=20_000, rng=5
        )
        assert found.p == pytest.approx(expected.pvalue, abs=0.015)
        again = randomisation_test(by_query(ours), by_query(theirs), rounds=20_000)
        assert found == again
    apart = randomisation_test(by_query(ours), by_query(ours + 1), rounds=999)
    assert apart.p == 1 / 1000


def test_the_bootstrap_interval_comes_near_scipys():
    values = np.random.default_rng(4).beta(2, 5, 80)
    for confidence in (0.8, 0.95):
        found = bootstrap_interval(list(values), confidence, rounds=20_000)
        expected = scipy.stats.bootstrap(
            (values,), np.mean, confidence_level=confidence, n_resamples=20_000,
            method="percentile", rng=6,
        ).confidence_interval  # fmt: skip
        assert found.mean == pytest.approx(values.mean())
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.002)
        assert found == bootstrap_interval(list(values), confidence, rounds=20_000)
    assert bootstrap_interval([0.5] * 9) == Interval(0.5, 0.5, 0.5)
    with pytest.raises(UsageError, match="two queries or more"):
        bootstrap_interval([0.5])


@given(PAIRS)
def test_effects_and_wins_are_those_of_loops(pairs):
    first, second = by_query(a for a, _ in pairs), by_query(b for _, b in pairs)
    differences = [a - b for a, b in pairs]
    assert wins_ties_losses(first, second) == (
        sum(each > 1e-12 for each in differences),
        sum(abs(each) <= 1e-12 for each in differences),
        sum(each < -1e-12 for each in differences),
    )
    deviation = np.std(differences, ddof=1)
    effect = effect_size(first, second)
    if not any(differences):
        assert effect == 0
    elif deviation <= 1e-12:
        assert effect is None
    else:
        assert effect == pytest.approx(np.mean(differences) / deviation)
