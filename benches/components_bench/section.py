"""The page that the component bench writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from recipe_bench.claims import difference, judge
from recipe_bench.comparisons import Comparison, compare
from recipe_bench.ingredients import Budget
from recipe_bench.rows import BM25
from recipe_bench.section import markdown, written
from recipe_bench.tables import Tables

from components_bench.rows import CLAIMED, PAIRS, SEPARATE, named, preset_row
from lsr.train.training_presets import TRAINING_PRESETS

COSTS = ("non-zeros of a document", "of a query", "FLOPS", "µs a query")
# Of the time of ``mlm / mlm``, above which a search is not called much faster.
MUCH_FASTER = 0.5


@dataclass(frozen=True)
class Step:
    """One component changed, from the row ``before`` to the row ``after``; what is said of it."""

    effect: str
    before: tuple[str, str]
    after: tuple[str, str]


# As in table 5 of the paper, whose rows 1b, 3a and 4b begin with expanded passages: here the
# nearest pair without.
STEPS = (
    Step("document weighting", ("binary", "mlm"), ("mlp", "mlm")),
    Step("document weighting", ("binary", "mlp"), ("mlp", "mlp")),
    Step("document weighting", ("binary", "own-terms"), ("own-terms", "own-terms")),
    Step("query weighting", ("mlp", "binary"), ("mlp", "mlp")),
    Step("query weighting", ("mlm", "binary"), ("mlm", "mlp")),
    Step("query weighting", ("mlm", "binary"), ("mlm", "own-terms")),
    Step("query weighting", ("mlm", "binary"), ("mlm", "idf")),
    Step("document expansion", ("mlp", "mlp"), ("mlm", "mlp")),
    Step("document expansion", ("own-terms", "own-terms"), ("mlm", "own-terms")),
    Step("document expansion beside query expansion", ("mlp", "mlm"), ("mlm", "mlm")),
    Step("document expansion beside query expansion", ("own-terms", "mlm"), ("mlm", "mlm")),
    Step("query expansion", ("mlp", "mlp"), ("mlp", "mlm")),
    Step("query expansion", ("own-terms", "own-terms"), ("own-terms", "mlm")),
    Step("query expansion beside document expansion", ("mlm", "mlp"), ("mlm", "mlm")),
    Step("query expansion beside document expansion", ("mlm", "own-terms"), ("mlm", "mlm")),
)
# Heads with which rows begin, and whether they are the checkpoint's.
STARTS = {"new heads": False, "the checkpoint's head": True}
EXPANSIONS = {
    "neither": ("own-terms", "own-terms"),
    "documents": ("mlm", "own-terms"),
    "queries": ("own-terms", "mlm"),
    "both": ("mlm", "mlm"),
}


def section(command: str, budget: Budget, tables: Tables) -> str:
    """The text between the marks."""
    there = tables.scores
    pairs = [named(*pair) for pair in PAIRS] + [named(*pair, "separate") for pair in SEPARATE]
    presets = [preset_row(name) for name in TRAINING_PRESETS]

    def by_mean(rows: Iterable[str]) -> list[str]:
        return sorted((row for row in rows if row in there), key=lambda row: -_mean(tables, row))

    own = [row for row in (named(*pair, own_head=True) for pair in CLAIMED) if row in there]
    named_presets = [row for row in presets if row in there]
    steps, said = list(_steps(tables)), list(claims(tables))
    parts = [
        written(command, budget, tables),
        "**Components of documents / of queries**, the best first",
        _rows(tables, [*by_mean(pairs), BM25]),
        "**Mean nDCG@10 x 100, documents down, queries across**, one model for both sides",
        _grid(tables),
        "**Expansion on either side**",
        _rows(tables, map(named_pair, EXPANSIONS.values()), EXPANSIONS),
    ]
    if own:
        parts += ["**From the head of the checkpoint**", _rows(tables, by_mean(own))]
    if steps:
        headings = ["what is added", "from", "to", *STARTS]
        parts += ["**One component changed**", markdown(headings, steps)]
    if said:
        headings = ["claim", "begun with", "seen here", "verdict"]
        parts += ["**What the framework's paper says**", markdown(headings, said)]
    if named_presets:
        parts += ["**Presets**", _rows(tables, named_presets)]
    return "\n\n".join(parts)


def named_pair(pair: tuple[str, str]) -> str:
    """The row of a pair, one model for both sides."""
    return named(*pair)


def _mean(tables: Tables, row: str) -> float:
    return tables.overall(row, "ndcg_at_10") or 0.0


def _rows(tables: Tables, rows: Iterable[str], names: Iterable[str] = ()) -> str:
    """A line a row that is there: nDCG@10 by collection and their mean, costs, seeds."""
    lines = []
    labels = list(names)
    for place, row in enumerate(rows):
        if row not in tables.scores:
            continue
        spread = tables.spread(row)
        mean = f"{100 * _mean(tables, row):.1f}"
        by_collection = [f"{100 * one.ndcg_at_10:.1f}" for one in tables.mean(row).values()]
        label = f"{labels[place]} ({row})" if labels else row
        seeds = str(len(tables.scores[row]))
        mean = mean if spread is None else f"{mean} ± {100 * spread:.1f}"
        lines.append([label, *by_collection, mean, *_costs(tables, row), seeds])
    return markdown(["", *tables.collections, "mean", *COSTS, "seeds"], lines)


def _costs(tables: Tables, row: str) -> Iterator[str]:
    for cost, digits in (("nnz", 0), ("query_nnz", 1), ("flops", 2), ("microseconds", 1)):
        yield tables.number(row, cost, digits)


def _grid(tables: Tables) -> str:
    documents = list(dict.fromkeys(document for document, _ in PAIRS))
    queries = list(dict.fromkeys(query for _, query in PAIRS))
    lines = []
    for document in documents:
        cells = [named(document, query) for query in queries]
        values = [
            f"{100 * _mean(tables, row):.1f}" if row in tables.scores else "" for row in cells
        ]
        lines.append([document, *values])
    return markdown(["", *queries], lines)


def compared(tables: Tables, step: Step, own_head: bool = False) -> Comparison | None:
    """After beside before, or None where one of them has no numbers."""
    before, after = (named(*pair, own_head=own_head) for pair in (step.before, step.after))
    if not {before, after} <= tables.scores.keys():
        return None
    return compare(tables.mean(after), tables.mean(before))


def _steps(tables: Tables) -> Iterator[list[str]]:
    for step in STEPS:
        found = [compared(tables, step, own_head) for own_head in STARTS.values()]
        if any(found):
            seen = ["" if one is None else difference(one) for one in found]
            yield [step.effect, named(*step.before), named(*step.after), *seen]


def claims(tables: Tables) -> Iterator[list[str]]:
    """What Nguyen et al. 2023 find, beside the means of what was seen, and whether it agrees."""
    for start, own_head in STARTS.items():
        for claim, *seen in _claims(tables, own_head):
            yield [claim, start, *seen]


def _claims(tables: Tables, own_head: bool) -> Iterator[list[str]]:
    effects = {step.effect: _effect(tables, step.effect, own_head) for step in STEPS}
    weighting = effects["document weighting"]
    others = [
        value
        for name, value in effects.items()
        if name != "document weighting" and value is not None
    ]
    if weighting is not None and others:
        yield [
            "Document term weighting matters most",
            f"{_signed(weighting)} on average; the largest other effect is {_signed(max(others))}",
            _verdict(weighting > max(others)),
        ]
    queries = effects["query weighting"]
    if queries is not None and weighting is not None:
        yield [
            "Query weighting has a small positive effect",
            f"{_signed(queries)} on average, of documents {_signed(weighting)}",
            _verdict(0 < queries < weighting),
        ]
    yield from _cancellation(effects)
    yield from _without_query_expansion(tables, own_head)


def _effect(tables: Tables, effect: str, own_head: bool) -> float | None:
    """Mean difference of the steps of an effect that have numbers."""
    found = [compared(tables, step, own_head) for step in STEPS if step.effect == effect]
    values = [one.difference for one in found if one is not None and one.difference is not None]
    return sum(values) / len(values) if values else None


def _cancellation(effects: dict[str, float | None]) -> Iterator[list[str]]:
    for side, other in (("query", "document"), ("document", "query")):
        alone = effects[f"{side} expansion"]
        beside = effects[f"{side} expansion beside {other} expansion"]
        if alone is not None and beside is not None:
            yield [
                f"{side.capitalize()} expansion brings less beside {other} expansion: they cancel "
                "each other out",
                f"{_signed(alone)} without the other, {_signed(beside)} beside it",
                _verdict(beside < alone),
            ]


def _without_query_expansion(tables: Tables, own_head: bool) -> Iterator[list[str]]:
    both = named("mlm", "mlm", own_head=own_head)
    for query in ("mlp", "own-terms"):
        less = named("mlm", query, own_head=own_head)
        if not {both, less} <= tables.scores.keys():
            continue
        before, after = (tables.overall(row, "microseconds") for row in (both, less))
        found = compare(tables.mean(less), tables.mean(both))
        if not (before and after):
            continue
        kept = judge(found) != "**the opposite was seen**"
        yield [
            f"Without query expansion (queries {query}) SPLADE takes 70 % less time at no loss",
            f"{before:.1f} to {after:.1f} µs ({100 * (after / before - 1):+.0f} %); nDCG@10 "
            f"{difference(found)}",
            _verdict(kept and after < MUCH_FASTER * before),
        ]


def _verdict(seen: bool) -> str:
    return "seen" if seen else "**not seen**"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}"
