"""What papers claim, beside what was seen, in words that the numbers decide."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
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
SEEN, NOT_SEEN, OPPOSITE = "seen", "**not seen**", "**the opposite was seen**"
UNTRAINED, NOT_COMPARED = "not trained yet", "can't be compared"
Compare = Callable[[str, str | None], Comparison]
"""Two rows; without a second, the baseline's curve at the FLOPS of the first."""


@dataclass(frozen=True)
class Claim:
    """``first`` is said to be better than ``second``, or, where that is None, than the baseline's
    method at equal FLOPS; or, with ``faster``, faster than ``second`` and nowhere worse."""

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
    Claim("DF-FLOPS searches faster than FLOPS", "Porco et al. 2025", point(DF_FLOPS, 0.1),
          BASELINE, faster=True),
    Claim("IDF in FLOPS is better at equal FLOPS", "sentence-transformers' IDFFlopsLoss",
          point(IDF_FLOPS, 120), None),
    Claim("Mined negatives are better than those of the batch", "Formal et al. 2022",
          "mined negatives"),
    Claim("Distillation is better than InfoNCE", "Formal et al. 2021b", BASELINE,
          "InfoNCE, no teacher"),
)  # fmt: skip


def claim_rows(
    compare: Compare,
    microseconds: Callable[[str], float | None],
    seeds: Mapping[str, Collection[int]],
) -> Iterator[list[str]]:
    """Claim, paper, numbers, how many seeds they are of, and verdict.

    Args:
        compare: see there.
        microseconds: of a row.
        seeds: of each row that is there.
    """
    for claim in CLAIMS:
        second = claim.second or BASELINE
        of = len({*seeds.get(claim.first, ())} & {*seeds.get(second, ())})
        numbers, verdict = "–", UNTRAINED
        if {claim.first, second} <= seeds.keys():
            found = compare(claim.first, claim.second)
            numbers, verdict = difference(found), judge(found)
            if claim.faster:
                numbers, verdict = _speed(microseconds(claim.first), microseconds(second), found)
        yield [claim.words, claim.paper, numbers, str(of), verdict]


def _speed(ours: float | None, theirs: float | None, found: Comparison) -> tuple[str, str]:
    if not (ours and theirs):
        return difference(found), NOT_COMPARED
    fast = ours < FASTER * theirs and not found.significant(-1)
    numbers = f"{ours:.1f} µs beside {theirs:.1f} µs; {difference(found)}"
    return numbers, SEEN if fast else NOT_SEEN


def judge(found: Comparison) -> str:
    """Seen, not seen, or the opposite; none of these by half of the collections or fewer."""
    if found.difference is None or 2 * found.compared <= len(found.tests):
        return NOT_COMPARED
    better, worse = found.significant(1), found.significant(-1)
    if found.difference > 0 and better and not worse:
        return SEEN
    opposite = found.difference < 0 and worse and not better
    return OPPOSITE if opposite else NOT_SEEN


def difference(found: Comparison) -> str:
    """Mean difference, and on how many collections it is significant, either way."""
    if found.difference is None:
        return "–"
    every = len(found.tests)
    part = "" if found.compared == every else f" (of {found.compared})"
    signs = f"{found.significant(1)} better, {found.significant(-1)} worse"
    return f"{100 * found.difference:+.1f}{part}; {signs}"
