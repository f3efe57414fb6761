"""The section of docs/training.md that the bench writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from eval.plots import svg_of
from eval.significance import PairedTest
from lsr.errors import NotFoundError, UsageError
from recipe_bench.claims import SEEN, claim_rows, difference
from recipe_bench.comparisons import LEVEL, Comparison, at_flops, compare
from recipe_bench.curves import POINT_COLUMNS, curve, draw, point_rows
from recipe_bench.ingredients import Budget
from recipe_bench.rows import (
    BASELINE,
    BM25,
    BOTH,
    DENSE_ROW,
    FLOPS,
    FREE,
    FREE_COLLECTION,
    MASK,
    METHODS,
    SHIPPED,
    TARGETS,
    ablations,
    both_sides,
    point,
    published,
)
from recipe_bench.tables import Tables, machine_name

PLOT = "recipe-curves.svg"
UNTRAINED = (BM25, BOTH, FREE, FREE_COLLECTION, DENSE_ROW, SHIPPED)
NUMBERS = ("nDCG@10 x 100", "Recall@100 x 100", "non-zeros", "FLOPS", "µs a query")


def marks(program: str) -> tuple[str, str]:
    """Lines between which the section of a bench stands."""
    return f"<!-- {program}: begin -->", f"<!-- {program}: end -->"


BEGIN, END = marks("recipe")


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


def section(
    command: str, budget: Budget, tables: Tables, plots: str
) -> tuple[str, dict[str, bytes]]:
    """The text, and the plots that it shows by the name of their files in the folder ``plots``."""
    versus = Versus(tables)
    changed = [row for row in _changed(budget) if row in tables.scores]
    figures: dict[str, bytes] = {}
    parts = [written(command, budget, tables)]
    if BASELINE in tables.scores:
        parts += _claims_part(tables, versus)
        parts += [
            "**One thing changed of the baseline**",
            markdown(
                ["", *NUMBERS, "at equal target", "at equal FLOPS", "seeds"],
                [_overview(tables, versus, row) for row in (BASELINE, *changed)],
            ),
        ]
    if any(len(curve(tables, method)) > 1 for method in METHODS):
        figures[PLOT] = svg_of(draw(tables)).encode()
        parts += [
            "**Trade-off curves**",
            f"![nDCG@10 over FLOPS, non-zeros and time]({plots}/{PLOT})",
            markdown(["", *POINT_COLUMNS], point_rows(tables)),
        ]
    parts += [
        "**By collection, nDCG@10 x 100**",
        _by_collection(tables, [*UNTRAINED, BASELINE, *changed]),
    ]
    if BASELINE in tables.scores:
        parts += [
            "**One thing changed, by collection, at equal target**",
            _tests([(row, versus(row, rival(row))) for row in changed], tables),
            "**One thing changed, by collection, at equal FLOPS**",
            _tests([(row, versus(row, None)) for row in changed], tables),
        ]
    if SHIPPED in tables.scores:
        rivals = [row for row in (BM25, FREE, FREE_COLLECTION, BOTH) if row in tables.scores]
        tests = [(f"{SHIPPED} against {row}", versus(SHIPPED, row)) for row in rivals]
        parts += ["**The shipped model and its rivals**", _tests(tests, tables)]
    return "\n\n".join(parts), figures


def _claims_part(tables: Tables, versus: Versus) -> list[str]:
    rows = list(claim_rows(versus, lambda row: tables.overall(row, "microseconds"), tables.scores))
    seen = [row for row in rows if row[-1] == SEEN]
    single = sum(row[-2] == "1" for row in seen)
    headings = ["claim", "of", "nDCG@10 x 100, and collections where p < 0.05", "seeds", "verdict"]
    sentence = (
        f"Of {len(rows)} claims of papers, {len(seen)} were seen at this size, {single} of these "
        "by one seed alone. The baseline's own mean differs from seed to seed by the ± below."
    )
    return ["**What papers claim**", sentence, markdown(headings, rows)]


class Versus:
    """Compares rows of the tables; without a second, with the baseline's curve at equal FLOPS."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._curve = [tables.mean(row) for row in curve(tables, FLOPS)]

    def __call__(self, first: str, second: str | None) -> Comparison:
        """Of the means over the seeds that both have, query by query; of all where none is."""
        tables = self._tables
        ours = tables.mean(first)
        if second is None:
            return compare(ours, at_flops(self._curve, ours))
        if second not in tables.scores:
            return compare(ours, dict.fromkeys(ours))
        both = tables.scores[first].keys() & tables.scores[second].keys()
        return compare(tables.mean(first, both), tables.mean(second, both))


def rival(row: str) -> str:
    """The baseline, or its method at the target that the row has."""
    same = {point(MASK, target): point(FLOPS, target) for target in TARGETS}
    return same.get(row, BASELINE)


def _changed(budget: Budget) -> list[str]:
    """The rows beside the baseline: the methods where they are published, and the ablations."""
    methods = [point(method, level) for method in METHODS[1:] for level in published(method)]
    return [*methods, *ablations(budget), *both_sides()]


def written(command: str, budget: Budget, tables: Tables) -> str:
    """How the numbers were made, and on what."""
    machines = dict.fromkeys(map(machine_name, tables.machines))
    seconds = [
        float(facts["seconds"])
        for by_seed in tables.facts.values()
        for facts in by_seed.values()
        if "seconds" in facts
    ]
    took = f" and took {min(seconds):.0f} to {max(seconds):.0f} seconds" if seconds else ""
    trainings = len(seconds)
    sentences = [
        f"Written by `{command}` on {datetime.now(tz=UTC):%Y-%m-%d}. Trained and scored on "
        f"{', and '.join(machines)}; {_software(tables)}.",
        f"Each of {trainings} trainings had {budget.steps} steps of {budget.batch} queries{took}; "
        "several ran at a time.",
    ]
    if len(machines) > 1:
        sentences.append(
            f"Microseconds are of {machine_name(tables.timed)} alone: a row has those of its seeds "
            "that were scored there."
        )
    if tables.failed:
        failed = "; ".join(sorted(tables.failed))
        sentences.append(f"Collapsed, and so without numbers: {failed}.")
    if tables.missing:
        sentences.append(
            f"{len(tables.missing)} more trainings and encoders of the bench are not done yet; the "
            "tables say how many seeds a row has."
        )
    return " ".join(sentences)


def _software(tables: Tables) -> str:
    """Versions, and the commits that each was used with."""
    commits: dict[str, list[str]] = {}
    for versions in tables.versions:
        packages = ", ".join(f"{name} {one}" for name, one in versions.items() if name != "commit")
        commits.setdefault(packages, []).append(versions.get("commit", "unknown"))
    return "; and ".join(
        f"{packages}, commit {', '.join(dict.fromkeys(each))}" for packages, each in commits.items()
    )


def _numbers(tables: Tables, row: str) -> list[str]:
    """Cells of ``NUMBERS``."""
    spread = tables.spread(row)
    ndcg = f"{100 * (tables.overall(row, 'ndcg_at_10') or 0.0):.1f}"
    cells = [
        ndcg if spread is None else f"{ndcg} ± {100 * spread:.1f}",
        f"{100 * (tables.overall(row, 'recall_at_100') or 0.0):.1f}",
    ]
    costs = (("nnz", 0), ("flops", 2), ("microseconds", 1))
    return [*cells, *(tables.number(row, cost, digits) for cost, digits in costs)]


def _overview(tables: Tables, versus: Versus, row: str) -> list[str]:
    against = ["–", "–"]
    if row != BASELINE:
        against = [difference(versus(row, other)) for other in (rival(row), None)]
    return [row, *_numbers(tables, row), *against, str(len(tables.scores[row]))]


def _by_collection(tables: Tables, rows: Iterable[str]) -> str:
    found = []
    for row in dict.fromkeys(rows):
        if row in tables.scores:
            values = [100 * score.ndcg_at_10 for score in tables.mean(row).values()]
            mean = sum(values) / len(values)
            found.append([row, *(f"{value:.1f}" for value in (*values, mean))])
    return markdown(["", *tables.collections, "mean"], found)


def _tests(found: Iterable[tuple[str, Comparison]], tables: Tables) -> str:
    rows = [
        [name, *(_cell(compared.tests[collection]) for collection in tables.collections)]
        for name, compared in found
    ]
    return markdown(["", *tables.collections], rows)


def _cell(test: PairedTest | None) -> str:
    """The difference with its p, bold below the level."""
    if test is None:
        return "–"
    p = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
    words = f"{100 * test.difference:+.1f} ({p})"
    return f"**{words}**" if test.p < LEVEL else words
