"""What papers claim, beside what was seen, in words that the numbers decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from recipe_bench.comparisons import Comparison
from recipe_bench.rows import (
    ACTIVATION,
    BASELINE,
    DF_FLOPS,
    IDF_FLOPS,
    MASK,
    point,
)

# Of the FLOPS' microseconds, above which a method is not called faster.
FASTER = 0.95
Compare = Callable[[str, str | None], Comparison]
"""Two rows; without a second, the baseline's curve at the FLOPS of the first."""


@dataclass(frozen=True)
class Claim:
    """``first`` is said to be better than ``second``, or, where that is None, than the baseline's
    method at equal FLOPS; or, with ``faster``, than ``second`` in time."""

    words: str
    paper: str
    first: str
    second: str | None = BASELINE
    faster: bool = False


GENG = "Geng et al. 2024"
SHEN = "Shen et al. 2025"
CLAIMS = (
    Claim("Two teachers of two kinds are better than the dense one", GENG, BASELINE,
          "teacher: dense"),
    Claim("Two teachers of two kinds are better than the sparse one", GENG, BASELINE,
          "teacher: sparse"),
    Claim("Teachers' scores are to be normalised (dense)", GENG, "teacher: dense",
          "teacher: dense, not normalised"),
    Claim("Teachers' scores are to be normalised (sparse)", GENG, "teacher: sparse",
          "teacher: sparse, not normalised"),
    Claim("Queries weighted by IDF are better than binary ones", GENG, BASELINE,
          "queries without IDF"),
    Claim("The l0 mask, threshold 150, is better at equal FLOPS", SHEN, point(MASK, 180), None),
    Claim("The l0 mask, threshold 200, is better at equal FLOPS", SHEN, point(MASK, 240), None),
    Claim("Two logarithms are better than one at equal FLOPS", SHEN, point(ACTIVATION, 120), None),
    Claim("Three logarithms are better than one at equal FLOPS", SHEN, "three logarithms", None),
    Claim("Four logarithms are better than one at equal FLOPS", SHEN, "four logarithms", None),
    Claim("DF-FLOPS searches faster than FLOPS", "Porco et al. 2025", point(DF_FLOPS, 120),
          BASELINE, faster=True),
    Claim("IDF in FLOPS is better at equal FLOPS", "sentence-transformers' IDFFlopsLoss",
          point(IDF_FLOPS, 120), None),
    Claim("Mined negatives are better than those of the batch", "Formal et al. 2022",
          "mined negatives"),
    Claim("Distillation is better than InfoNCE", "Formal et al. 2021b", BASELINE,
          "InfoNCE, no teacher"),
)  # fmt: skip


def claim_rows(
    compare: Compare, microseconds: Callable[[str], float | None], known: Mapping[str, object]
) -> Iterator[list[str]]:
    """Claim, paper, numbers and verdict, of the claims whose rows are there."""
    for claim in CLAIMS:
        if {claim.first, claim.second or BASELINE} <= known.keys():
            if claim.faster:
                numbers, verdict = _time(claim, microseconds)
            else:
                found = compare(claim.first, claim.second)
                numbers, verdict = difference(found), judge(found)
            yield [claim.words, claim.paper, numbers, verdict]


def _time(claim: Claim, microseconds: Callable[[str], float | None]) -> tuple[str, str]:
    ours, theirs = microseconds(claim.first), microseconds(claim.second or BASELINE)
    if not (ours and theirs):
        return "–", "not measured"
    verdict = "seen" if ours < FASTER * theirs else "**not seen**"
    return f"{ours:.1f} µs beside {theirs:.1f} µs", verdict


def judge(found: Comparison) -> str:
    """Seen, not seen, or the opposite."""
    if found.difference is None:
        return "can't be compared"
    better, worse = found.significant(1), found.significant(-1)
    if found.difference > 0 and better and not worse:
        return "seen"
    opposite = found.difference < 0 and worse and not better
    return "**the opposite was seen**" if opposite else "**not seen**"


def difference(found: Comparison) -> str:
    """Mean difference, and on how many collections it is significant, either way."""
    if found.difference is None:
        return "–"
    every = len(found.tests)
    part = "" if found.compared == every else f" (of {found.compared})"
    signs = f"{found.significant(1)} better, {found.significant(-1)} worse"
    return f"{100 * found.difference:+.1f}{part}; {signs}"
