"""The section of docs/training.md that the bench writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from eval.significance import PairedTest, holm, paired_t_test
from lsr.errors import NotFoundError, UsageError
from recipe_bench.scores import Score

BEGIN, END = "<!-- recipe: begin -->", "<!-- recipe: end -->"
LEVEL = 0.05
Scores = Mapping[str, Mapping[str, Score]]
"""Row to collection to score."""


def replace_section(path: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Put the text between the markers of a file.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it has not both markers, once, in their order.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {str(path)!r} to write the section into")
    before, begun, rest = path.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended) or begin in rest or end in after:
        raise UsageError(f"{path} needs one line {begin} and, below it, one line {end}")
    path.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is words and whose others are numbers."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def score_tables(scores: Scores) -> str:
    """A table a measure: rows by collections, with the mean over collections."""
    shown: dict[str, tuple[Callable[[Score], float | None], str]] = {
        "nDCG@10 x 100": (lambda score: 100 * score.ndcg_at_10, ".1f"),
        "Recall@100 x 100": (lambda score: 100 * score.recall_at_100, ".1f"),
        "Non-zeros of a document, mean": (lambda score: score.nnz, ".0f"),
        "FLOPS": (lambda score: score.flops, ".2f"),
    }
    return "\n\n".join(
        f"**{title}**\n\n{_score_table(scores, value, form)}"
        for title, (value, form) in shown.items()
    )


def _score_table(scores: Scores, value: Callable[[Score], float | None], form: str) -> str:
    collections = list(next(iter(scores.values())))
    rows = []
    for row, by_collection in scores.items():
        values = [value(by_collection[name]) for name in collections]
        there = [number for number in values if number is not None]
        if there:
            rows.append([row, *(f"{number:{form}}" for number in [*there, mean(there)])])
    return markdown(["", *collections, "mean"], rows)


def compare(
    scores: Scores, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, PairedTest]]:
    """The test of each pair of rows on each collection, p by Holm over the collections."""
    found = {}
    for first, second in pairs:
        tests = {
            name: paired_t_test(score.per_query, scores[second][name].per_query)
            for name, score in scores[first].items()
        }
        raised = holm([test.p for test in tests.values()])
        found[first, second] = {
            name: PairedTest(test.difference, p)
            for (name, test), p in zip(tests.items(), raised, strict=True)
        }
    return found


def test_table(tests: Mapping[tuple[str, str], Mapping[str, PairedTest]]) -> str:
    """Differences with their p, bold below the level."""
    collections = list(next(iter(tests.values())))
    rows = [
        [f"{first} against {second}", *(_cell(by_name[name]) for name in collections)]
        for (first, second), by_name in tests.items()
    ]
    return markdown(["", *collections], rows)


def _cell(test: PairedTest) -> str:
    p = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
    words = f"{100 * test.difference:+.1f} ({p})"
    return f"**{words}**" if test.p < LEVEL else words
