"""How alike two systems rank."""

from __future__ import annotations

from collections.abc import Sequence

from eval.run import Run

# Of Webber et al.: the first ten ranks have 86 % of the weight.
PERSISTENCE = 0.9


def rank_biased_overlap(
    first: Sequence[str], second: Sequence[str], k: int, p: float = PERSISTENCE
) -> float:
    """RBO@k, 0 (nothing in common) to 1 (the same), extrapolated from the first k ranks.

    Webber, Moffat and Zobel (2010), "A Similarity Measure for Indefinite Rankings":
    (X_k / k) p^k + (1 - p) / p * sum over d = 1..k of (X_d / d) p^d, where X_d is how many
    documents the first d of both have in common. Where both rankings are shorter than k, the
    longer one's length takes the place of k; two empty ones are the same.

    Args:
        first: ids, best first, each once.
        second: the same.
        k: how many ranks count, 1 or more.
        p: how slowly weight falls with rank, between 0 and 1.
    """
    k = min(k, max(len(first), len(second)))
    if k == 0:
        return 1.0
    seen: set[str] = set()
    common, total = 0, 0.0
    for depth in range(1, k + 1):
        for ranking in (first, second):
            if depth <= len(ranking):
                common += ranking[depth - 1] in seen
                seen.add(ranking[depth - 1])
        total += common / depth * p**depth
    return common / k * p**k + (1 - p) / p * total


def mean_overlap(run: Run, other: Run, k: int) -> float:
    """The mean RBO@k of two rankings of each query of ``run``; 0 where there is none."""
    overlaps = [
        rank_biased_overlap([d for d, _ in ranking], [d for d, _ in other.get(query, ())], k)
        for query, ranking in run.items()
    ]
    return sum(overlaps) / max(len(overlaps), 1)
