"""The section of docs/hybrid.md that the bench writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean

from recipe_bench.section import markdown

from eval.significance import PairedTest, holm, paired_t_test
from hybrid_bench.scores import MEASURE, MEASURES, Score, against_best_single, best_single
from hybrid_bench.systems import DEFAULT, System

BEGIN, END = "<!-- hybrid: begin -->", "<!-- hybrid: end -->"
LEVEL = 0.05
BETTER, WORSE = " ▲", " ▼"
Scores = Mapping[str, Mapping[str, Score]]
"""Dataset to system to score."""


def section(scores: Scores, systems: Sequence[System]) -> str:
    """The tables: default fusions against the best single field, all systems, tuned fusions."""
    singles = single_names(systems)
    parts = [
        "**Default fusions against the best single field**, nDCG@10; p by Holm over the "
        "collections",
        markdown(["", *scores], list(_against(scores, systems, singles))),
        f"**All systems**, {' / '.join(MEASURES)}, and the mean over collections; {BETTER.strip()} "
        f"better and {WORSE.strip()} worse than the best single field, p below {LEVEL} by Holm "
        "over all rows of the collection",
        markdown(["", *scores, "mean"], list(_everything(scores, systems, singles))),
    ]
    chosen = list(_tuned(scores, systems))
    if chosen:
        parts += ["**Tuned fusions**, chosen for each collection by the others"]
        parts += [markdown(["", *scores], chosen)]
    return "\n\n".join(parts)


def single_names(systems: Sequence[System]) -> list[str]:
    """The fields that are ranked alone and are candidates for the best single one."""
    return [each.name for each in systems if each.single]


def _against(
    scores: Scores, systems: Sequence[System], singles: Sequence[str]
) -> Iterator[list[str]]:
    best = {dataset: best_single(found, singles) for dataset, found in scores.items()}
    yield [
        "best single",
        *(f"{name} {_percent(scores[dataset][name])}" for dataset, name in best.items()),
    ]
    for name in (each.name for each in systems if each.method == DEFAULT):
        tests = {
            dataset: paired_t_test(found[name].per_query, found[best[dataset]].per_query)
            for dataset, found in scores.items()
            if name in found
        }
        raised = dict(zip(tests, holm([test.p for test in tests.values()]), strict=True))
        yield [
            name,
            *(
                f"{_percent(found[name])} ({100 * tests[dataset].difference:+.1f}, "
                f"p {raised[dataset]:.2g})"
                if name in found
                else ""
                for dataset, found in scores.items()
            ),
        ]


def _everything(
    scores: Scores, systems: Sequence[System], singles: Sequence[str]
) -> Iterator[list[str]]:
    tests = {dataset: against_best_single(found, singles) for dataset, found in scores.items()}
    for name in (each.name for each in systems):
        there = [found[name] for found in scores.values() if name in found]
        if not there:
            continue
        cells = [
            _measures([found[name]]) + _mark(tests[dataset].get(name)) if name in found else ""
            for dataset, found in scores.items()
        ]
        yield [name, *cells, _measures(there) if len(there) == len(scores) else ""]


def _tuned(scores: Scores, systems: Sequence[System]) -> Iterator[list[str]]:
    for name in (each.name for each in systems if each.tuned):
        cells = [found[name].fusion if name in found else None for found in scores.values()]
        if any(cells):
            yield [name, *(f"`{cell}`" if cell else "" for cell in cells)]


def _measures(found: Sequence[Score]) -> str:
    means = (100 * mean(score.measures[name] for score in found) for name in MEASURES)
    return " / ".join(f"{value:.1f}" for value in means)


def _mark(test: PairedTest | None) -> str:
    if test is None or test.p >= LEVEL:
        return ""
    return BETTER if test.difference > 0 else WORSE


def _percent(score: Score) -> str:
    return f"{100 * score.measures[MEASURE]:.1f}"
