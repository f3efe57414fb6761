"""Whether one system's scores are better than another's by more than chance."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError


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


def paired_t_test(first: Mapping[str, float], second: Mapping[str, float]) -> PairedTest:
    """Student's t-test over the differences of two systems' scores on the same queries.

    Two-sided; p is 1 where every query has the same score in both.

    Args:
        first: score of each query.
        second: of the same queries, by another system.

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
    ours, theirs = np.array([(first[query], second[query]) for query in first]).T
    differences = ours - theirs
    mean = float(differences.mean())
    if differences.std(ddof=1) == 0:
        return PairedTest(mean, 0.0 if mean else 1.0)
    from scipy.stats import ttest_rel

    with warnings.catch_warnings():
        # SciPy warns of differences that are nearly the same; that they are is the answer.
        warnings.simplefilter("ignore", RuntimeWarning)
        return PairedTest(mean, float(ttest_rel(ours, theirs).pvalue))


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
