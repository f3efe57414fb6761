"""Norms: what makes the scores of rankings comparable before they are added."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
"""(n,), best first; n is 1 or more. A norm keeps their order."""


def unchanged(scores: Scores) -> Scores:
    """n(s) = s."""
    return scores


def by_highest(scores: Scores) -> Scores:
    """n(s) = s / max |s|, at most 1: Lee 1995, "Combining Multiple Evidence", maximum norm.

    That is the score over the highest, but where a score below 0 is larger in size.
    """
    largest = np.abs(scores).max()
    return scores / largest if largest > 0 else np.zeros_like(scores)


def min_max(scores: Scores) -> Scores:
    """n(s) = (s - min) / (max - min): Lee 1997, "Analyses of Multiple Evidence Combination".

    1 where all scores are the same.
    """
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.ones_like(scores)


def z_score(scores: Scores) -> Scores:
    """n(s) = (s - mean) / deviation: Montague and Aslam 2001, "Relevance Score Normalization".

    The deviation is that of the population; 0 where all scores are the same.
    """
    deviation = scores.std() if scores.max() > scores.min() else 0.0
    return (scores - scores.mean()) / deviation if deviation > 0 else np.zeros_like(scores)


def distribution_based(scores: Scores) -> Scores:
    """n(s) = (s - (mean - 3 d)) / (6 d), not clamped: DBSF as in Qdrant.

    d is the deviation of a sample; 0.5 where there is one score, or all are the same.
    """
    deviation = scores.std(ddof=1) if scores.max() > scores.min() else 0.0
    if not deviation > 0:
        return np.full_like(scores, 0.5)
    normed: Scores = (scores - scores.mean()) / (6 * deviation) + 0.5
    return normed


def by_rank(scores: Scores) -> Scores:
    """n(s) = 1 - (rank - 1) / n, ranks from 1 on: Borda's count over n, in (0, 1]."""
    return 1 - np.arange(len(scores)) / len(scores)


NORMS: Mapping[str, Callable[[Scores], Scores]] = {
    "none": unchanged,
    "max": by_highest,
    "min-max": min_max,
    "z-score": z_score,
    "dbsf": distribution_based,
    "rank": by_rank,
}
"""By the names that settings have."""
