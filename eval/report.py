"""The report of results: one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import resources

from eval.cell import Cell
from eval.compared import by_dataset, main_measure
from eval.comparison import comparable, compare_systems, significance_marks
from eval.plots import svg_of
from eval.published import MEASURE, published_numbers
from eval.results import OVER_ALL, Results, system_key
from eval.suite_plots import Plot, plots_of

# A cell of a table: what is shown, and the number that it sorts by.
Shown = tuple[str, float | None]


def report_page(
    results: Results,
    measure: str | None = None,
    baseline: str | None = None,
    command: str = "",
) -> str:
    """The page: means over data sets, and of each data set a table, plots and its queries.

    Whatever comes from results is escaped, and the page forbids itself to fetch anything or to run
    another script than its own.

    Args:
        results: one or more.
        measure: which plots, tests and queries are of; None: the first of the results.
        baseline: the system that the others are tested against; None: all pairs are tested.
        command: that made the results.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        UsageError: there is no result, or some lack the measure.
    """
    chosen = main_measure(results, measure)
    plots = list(plots_of(results, chosen))
    parts = [f"<h1>{escape(_title(results))}</h1>"]
    if command:
        parts.append(f"<p>Made by <code>{escape(command)}</code></p>")
    parts += _means(results)
    for place, (dataset, systems) in enumerate(by_dataset(results).items()):
        own = [plot for plot in plots if plot.dataset == dataset]
        parts += _dataset(place, dataset, systems, chosen, baseline, own)
    parts += _origins(results)
    return _page(_title(results), "\n".join(parts))


def _title(cells: Sequence[Cell]) -> str:
    datasets = by_dataset(cells)
    systems = max(len(each) for each in datasets.values())
    return (
        f"{systems} {'system' if systems == 1 else 'systems'} on "
        f"{', '.join(datasets) if len(datasets) <= 6 else f'{len(datasets)} data sets'}"
    )


def _page(title: str, body: str) -> str:
    style, script = _file("report.css"), _file("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _file(name: str) -> str:
    return resources.files("eval").joinpath("data", name).read_text(encoding="utf-8")


def _means(results: Results) -> list[str]:
    """Means over the parts of data sets, and over the data sets, of the systems run on all."""
    labels = {
        system_key(cell): label
        for systems in by_dataset(results).values()
        for label, cell in systems.items()
    }
    found = []
    averages = [*results.parts(), *results.averages()]
    for dataset in dict.fromkeys(each.dataset for each in averages):
        own = [each for each in averages if each.dataset == dataset]
        measures = [name for name in own[0].measures if all(name in each.measures for each in own)]
        rows: list[list[Shown]] = [
            [(labels[system_key(each)], None), *(_number(each.measures[name]) for name in measures)]
            for each in own
        ]
        count = len(own[0].over)
        over = f"the {count} parts of {dataset}"
        if dataset in OVER_ALL:
            over = f"{count} data sets{dataset.removeprefix(OVER_ALL[0])}"
        found += [
            f"<h2>Means over {escape(over)}</h2>",
            _table(["system", *measures], rows, best=range(1, len(measures) + 1)),
        ]
    return found


def _dataset(
    place: int,
    dataset: str,
    systems: Mapping[str, Cell],
    measure: str,
    baseline: str | None,
    plots: Sequence[Plot],
) -> list[str]:
    first = next(iter(systems.values()))
    parts = [
        f"<h2>{escape(dataset)}</h2>",
        f'<p class="note">{first.documents:,} documents, {first.queries:,} judged queries</p>',
        *_results(systems, measure, baseline),
    ]
    for caveat in dict.fromkeys(each for cell in systems.values() for each in cell.caveats):
        parts.append(f'<p class="note">Note: {escape(caveat)}</p>')
    for number, plot in enumerate(plots):
        svg = _with_own_ids(svg_of(plot.figure), f"p{place}-{number}-")
        label = escape(f"{plot.dataset}: {plot.kind}", quote=True)
        parts.append(f'<figure role="img" aria-label="{label}">{svg}</figure>')
    return [*parts, *_published(dataset, first), *_queries(place, systems, measure)]


def _results(systems: Mapping[str, Cell], measure: str, baseline: str | None) -> Iterator[str]:
    """The table of measures and costs, significance marked where there are several systems."""
    scores = comparable(systems, measure)
    marks = None
    if scores:
        against = baseline if baseline in scores else None
        found = compare_systems(scores, measure, against)
        marks = significance_marks(list(scores), found, against)
    measures = list(dict.fromkeys(name for cell in systems.values() for name in cell.measures))
    costs = list(dict.fromkeys(name for cell in systems.values() for name in cell.costs))
    rows: list[list[Shown]] = []
    for name, cell in systems.items():
        row = [(name, None), *(_number(cell.measures.get(each)) for each in measures)]
        row += [_cost(cell.costs.get(each)) for each in costs]
        if marks:
            letter, own = marks.letters.get(name, ""), marks.better.get(name, "")
            row[0] = (f"{letter}  {name}" if letter else name, None)
            where = 1 + measures.index(measure)
            row[where] = (f"{row[where][0]} {own}".rstrip(), row[where][1])
        rows.append(row)
    headings = ["system", *measures, *(cost.replace("_", " ") for cost in costs)]
    yield _table(headings, rows, best=range(1, len(measures) + 1))
    if marks:
        yield f'<p class="note">{escape(marks.legend)}</p>'


def _published(dataset: str, cell: Cell) -> Iterator[str]:
    numbers = published_numbers(dataset, cell.documents, cell.queries)
    if not numbers:
        return
    rows: list[list[Shown]] = [
        [
            (each.system, None), _number(each.value), ("; ".join(each.differs), None),
            (f"{each.source} ({each.seen})", None),
        ]
        for each in numbers
    ]  # fmt: skip
    table = _table(["system", MEASURE, "conditions", "source"], rows)
    yield f"<details><summary>Published numbers</summary>{table}</details>"


def _queries(place: int, systems: Mapping[str, Cell], measure: str) -> Iterator[str]:
    """The measure of each query by each system, in a table that can be filtered."""
    values = {name: cell.per_query.get(measure, {}) for name, cell in systems.items()}
    queries = list(dict.fromkeys(query for each in values.values() for query in each))
    if not queries:
        return
    rows: list[list[Shown]] = []
    for query in queries:
        own = [each.get(query) for each in values.values()]
        known = [value for value in own if value is not None]
        spread = max(known) - min(known)
        rows.append([(query, None), *map(_number, own), _number(spread)])
    name = f"queries-{place}"
    table = _table(["query", *values, "largest difference"], rows, identifier=name)
    yield (
        f"<details><summary>{escape(measure)} of each of {len(queries):,} queries</summary>"
        f'<p><label>Queries with <input type="search" data-filters="{name}"></label></p>'
        f"{table}</details>"
    )


def _origins(cells: Sequence[Cell]) -> Iterator[str]:
    yield "<h2>What the numbers came from</h2>"
    for line in dict.fromkeys(cell.provenance.line() for cell in cells):
        yield f'<p class="note"><code>{escape(line)}</code></p>'


def _table(
    headings: Sequence[str],
    rows: Sequence[Sequence[Shown]],
    best: Iterable[int] = (),
    identifier: str = "",
) -> str:
    """A table that sorts; the largest number of each of the columns ``best`` is bold."""
    numeric = [any(row[column][1] is not None for row in rows) for column in range(len(headings))]
    top = {
        column: max(values)
        for column in best
        if len(rows) > 1
        and (values := [value for row in rows if (value := row[column][1]) is not None])
    }
    head = "".join(
        f'<th scope="col"{" data-numeric=1" if is_number else ""}>{escape(heading)}</th>'
        for heading, is_number in zip(headings, numeric, strict=True)
    )
    lines = []
    for row in rows:
        line = ""
        for column, (text, value) in enumerate(row):
            classes = [] if numeric[column] else ["text"]
            if value is not None and top.get(column) == value:
                classes.append("best")
            shown = f' class="{" ".join(classes)}"' if classes else ""
            key = f' data-value="{"" if value is None else repr(value)}"' * numeric[column]
            line += f"<td{shown}{key}>{escape(text)}</td>"
        lines.append(f"<tr>{line}</tr>")
    own = f' id="{identifier}"' if identifier else ""
    body = "\n".join(lines)
    return (
        f'<div class="wide"><table class="sorts"{own}><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _number(value: float | None) -> Shown:
    return ("", None) if value is None else (f"{value:.4f}", value)


def _cost(value: float | None) -> Shown:
    if value is None:
        return "", None
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"), value


def _with_own_ids(svg: str, prefix: str) -> str:
    """An ``svg`` of matplotlib whose ids are no other's on the page; texts stay as they are."""
    return re.sub(
        r"<[^>]*>",
        lambda tag: re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{prefix}", tag.group()),
        svg,
    )
