"""Whether one system's scores are better than another's by more than chance."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError

# Random choices of a test, and draws of an interval.
ROUNDS = 10_000
SEED = 42
# Numbers that are made at once.
AT_ONCE = 1 << 20
# Scores that are no further apart are the same.
SAME = 1e-12


@dataclass(frozen=True, slots=True)
class PairedTest:
    """``difference`` of the means, first minus second, and its two-sided ``p``."""

    difference: float
    p: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A ``mean``, and between what it lies with the confidence asked for."""

    mean: float
    low: float
    high: float


def mean_interval(differences: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's interval of the mean of differences of queries, as ``paired_t_test`` tests them.

    Raises:
        UsageError: there are fewer than two.
    """
    if len(differences) < 2:
        raise UsageError(f"an interval needs two queries or more, and there are {len(differences)}")
    from scipy.stats import t

    values = np.asarray(differences, dtype=np.float64)
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    half = float(t.ppf((1 + confidence) / 2, len(values) - 1)) * error
    return Interval(mean, mean - half, mean + half)


def paired_scores(
    first: Mapping[str, float], second: Mapping[str, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two systems' scores on the same queries, float64 (queries,) each, in the order of ``first``.

    Raises:
        UsageError: they have other queries, or fewer than two.
    """
    if first.keys() != second.keys():
        raise UsageError(
            f"the two systems were scored on {len(first)} and {len(second)} queries that are not "
            "the same; compare them on the same ones"
        )
    if len(first) < 2:
        raise UsageError(f"a paired test needs two queries or more, and there are {len(first)}")
    ours, theirs = np.array([(first[query], second[query]) for query in first], np.float64).T
    return ours, theirs


def paired_t_test(first: Mapping[str, float], second: Mapping[str, float]) -> PairedTest:
    """Student's t-test over the differences of two systems' scores on the same queries.

    Two-sided; p is 1 where every query has the same score in both.

    Args:
        first: score of each query.
        second: of the same queries, by another system.

    Raises:
        UsageError: they have other queries, or fewer than two.
    """
    ours, theirs = paired_scores(first, second)
    differences = ours - theirs
    mean = float(differences.mean())
    if differences.std(ddof=1) == 0:
        return PairedTest(mean, 0.0 if mean else 1.0)
    from scipy.stats import ttest_rel

    with warnings.catch_warnings():
        # SciPy warns of differences that are nearly the same; that they are is the answer.
        warnings.simplefilter("ignore", RuntimeWarning)
        return PairedTest(mean, float(ttest_rel(ours, theirs).pvalue))


def randomisation_test(
    first: Mapping[str, float], second: Mapping[str, float], rounds: int = ROUNDS, seed: int = SEED
) -> PairedTest:
    """Fisher's paired randomisation test, as Smucker et al. 2007 advise it for retrieval.

    p is how often the mean of the differences would be as far from 0 as it is, either way, if which
    system gave which of a query's two scores were chance. All ways to choose are tried where they
    are no more than ``rounds``; else so many random ones, the one seen counted among them.

    Args:
        first: score of each query.
        second: of the same queries, by another system.
        rounds: how many random choices are tried at most.
        seed: of the random choices; the same seed gives the same p.

    Raises:
        UsageError: they have other queries, or fewer than two.
    """
    ours, theirs = paired_scores(first, second)
    differences = ours - theirs
    mean = float(differences.mean())
    # A query without a difference has none whichever way it is chosen.
    differing = differences[differences != 0]
    # The same sum in another order may be less by some last digits.
    least = abs(float(differing.sum())) - 1e-10 * float(np.abs(differing).sum())
    if 2 ** min(len(differing), 62) <= rounds:
        sums = np.zeros(1)
        for difference in differing:
            sums = np.concatenate((sums + difference, sums - difference))
        return PairedTest(mean, float((np.abs(sums) >= least).mean()))
    random, extreme, left = np.random.default_rng(seed), 1, rounds
    while left:
        part = min(left, max(1, AT_ONCE // len(differing)))
        signs = random.integers(0, 2, (part, len(differing)), dtype=np.int8)
        sums = 2 * (signs @ differing) - differing.sum()
        extreme += int((np.abs(sums) >= least).sum())
        left -= part
    return PairedTest(mean, extreme / (rounds + 1))


def bootstrap_interval(
    values: Sequence[float], confidence: float = 0.95, rounds: int = ROUNDS, seed: int = SEED
) -> Interval:
    """The mean of queries' scores, or of their differences, and its percentile bootstrap interval.

    Args:
        values: one for each query.
        confidence: how many of the means of drawn queries lie inside, between 0 and 1.
        rounds: how many times as many queries are drawn, with replacement.
        seed: of the draws; the same seed gives the same interval.

    Raises:
        UsageError: there are fewer than two.
    """
    if len(values) < 2:
        raise UsageError(f"an interval needs two queries or more, and there are {len(values)}")
    given = np.asarray(values, dtype=np.float64)
    random, means = np.random.default_rng(seed), np.empty(rounds)
    step = max(1, AT_ONCE // len(given))
    for start in range(0, rounds, step):
        part = means[start : start + step]
        drawn = random.integers(0, len(given), (len(part), len(given)), dtype=np.int32)
        part[:] = given[drawn].mean(axis=1)
    low, high = np.quantile(means, ((1 - confidence) / 2, (1 + confidence) / 2))
    return Interval(float(given.mean()), float(low), float(high))


def effect_size(first: Mapping[str, float], second: Mapping[str, float]) -> float | None:
    """Cohen's d_z: the mean of the differences over their standard deviation.

    0 where there is no difference; None where all differences are the same, which has no bound.

    Raises:
        UsageError: they have other queries, or fewer than two.
    """
    ours, theirs = paired_scores(first, second)
    differences = ours - theirs
    if not differences.any():
        return 0.0
    deviation = float(differences.std(ddof=1))
    return None if deviation <= SAME else float(differences.mean()) / deviation


def wins_ties_losses(
    first: Mapping[str, float], second: Mapping[str, float]
) -> tuple[int, int, int]:
    """On how many queries the first system is better, as good, and worse.

    Raises:
        UsageError: they have other queries, or fewer than two.
    """
    ours, theirs = paired_scores(first, second)
    wins, losses = int((ours - theirs > SAME).sum()), int((theirs - ours > SAME).sum())
    return wins, len(ours) - wins - losses, losses


def holm(p_values: Sequence[float]) -> list[float]:
    """p values of several tests, raised so that any one below a level stands at that level.

    Holm 1979, "A simple sequentially rejective multiple test procedure": of m values in ascending
    order, the i-th (from 0) is multiplied by m - i; none may be below the one before it, or
    above 1.
    """
    values: NDArray[np.float64] = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    raised = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    result = np.empty_like(values)
    result[order] = raised
    return [float(value) for value in result]
