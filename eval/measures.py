"""Effectiveness measures: their names, as papers and tools write them, computed by ir_measures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from eval.run import Run
from lsr.corpus.qrels import Qrels
from lsr.errors import UsageError

STANDARD = ("nDCG@10", "Recall@100", "MRR@10", "MAP@100")
LARGEST = 1_000_000
DEPTH = 100
# trec_eval's runs are as deep, and its measures without a cutoff are of these.
UNCUT_DEPTH = 1000
# trec_eval's and everybody's names in lower case, without lines between words, by ir_measures'.
SPELLED = {
    "AP": ("ap", "map", "mapcut"),
    "Bpref": ("bpref",),
    "IPrec": ("iprec", "iprecatrecall"),
    "Judged": ("judged",),
    "NumQ": ("numq",),
    "NumRel": ("numrel",),
    "NumRelRet": ("numrelret",),
    "NumRet": ("numret",),
    "P": ("p", "precision"),
    "R": ("r", "recall"),
    "RR": ("rr", "mrr", "reciprank"),
    "Rprec": ("rprec", "rprecision"),
    "SetAP": ("setmap", "setap"),
    "SetF": ("setf",),
    "SetP": ("setp",),
    "SetR": ("setr", "setrecall"),
    "SetRelP": ("setrelativep",),
    "Success": ("success", "hit", "hits", "hitrate"),
    "nDCG": ("ndcg", "ndcgcut"),
}
_KNOWN = {spelling: name for name, spellings in SPELLED.items() for spelling in spellings}
_NAME = re.compile(
    r"(?P<word>[a-z]+(?:[_-][a-z]+)*?)(?P<settings>\(.*\))?(?:(?:@|_at_|_)(?P<cutoff>[0-9.]+))?",
    re.IGNORECASE,
)
_F = re.compile(
    r"F(?P<beta>[0-9]{1,6}(?:\.[0-9]{1,6})?)(?P<settings>\(.*\))?(?P<cutoff>@[0-9]+)?",
    re.IGNORECASE,
)
_HOLE = re.compile(r"hole(?:@|_at_|_)(?P<cutoff>[0-9]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Measure:
    """What ir_measures computes for a name, and how a query's value is made of it.

    ``parts`` are measures of ir_measures. ``combine`` makes a query's value of their values, in
    their order; None: it is that of the only part, aggregated over queries as ir_measures does
    (nearly all by the mean, numbers such as NumRet by the sum).
    """

    parts: tuple[Any, ...]
    combine: Callable[[Sequence[float]], float] | None = None

    def value(self, parts: Sequence[float]) -> float:
        """The measure of a query, from the values of its parts."""
        return self.combine(parts) if self.combine else parts[0]

    def mean(self, values: Iterable[float]) -> float:
        """The measure of a run, from the values of its queries."""
        aggregator = self.parts[0].aggregator()
        for value in values:
            aggregator.add(value)
        return float(aggregator.result())

    @property
    def cutoff(self) -> int | None:
        """How many results of a ranking count; None: all that there are."""
        cutoffs = [part.params["cutoff"] for part in self.parts if "cutoff" in part.params]
        return max(cutoffs, default=None)

    @property
    def needs(self) -> int:
        """How many results a ranking should have, where there are as many."""
        # Of a set, the measure is of what was retrieved, however much that is.
        of_a_set = all(part.NAME.startswith(("Set", "Num")) for part in self.parts)
        return self.cutoff or (0 if of_a_set else UNCUT_DEPTH)


def parse_measures(names: Sequence[str]) -> dict[str, Measure]:
    """Measures by the names given: ``nDCG@10``, ``Recall@100``, ``map_cut_100``, ``F2@10``, ...

    Names are those of ir_measures, with its settings; those of trec_eval; and those that papers
    use, in capitals or not. Two are made of its measures: ``F2@10`` is the harmonic mean of P@10
    and R@10 in which recall weighs twice as much as precision (van Rijsbergen 1979, beta 2;
    ``F2``: of all results), and ``hole@10`` the share of the first ten results that are not judged
    for the query, 1 - Judged@10, and 0 where nothing was found.

    Raises:
        UsageError: some names are unknown; all of them are named.
    """
    measures, unknown = {}, []
    for name in names:
        try:
            measures[name] = _parse(name)
        except (NameError, SyntaxError, TypeError, MemoryError, RecursionError):
            unknown.append(name)
        # Of settings, ir_measures asserts what it expects.
        except (ValueError, AssertionError) as error:
            unknown.append(f"{name} ({error})" if str(error) else name)
    if unknown:
        raise UsageError(
            f"unknown measures: {', '.join(unknown)}; write them as papers do, for example "
            f"{', '.join(STANDARD)}, P@5, F2@10, hole@10, or any other measure of ir_measures"
        )
    return measures


def measures_and_depth(
    names: Sequence[str], depth: int | None, allowed: int
) -> tuple[tuple[str, ...], int]:
    """What is measured, and of how many results a query, so that no name says more than was seen.

    Args:
        names: of measures; empty: the standard ones, cut at ``depth`` where that is less.
        depth: results per query; None: as many as the measures need, but 100 at least.
        allowed: the most results that a search gives.

    Raises:
        UsageError: a measure is unknown or deeper than ``depth``, or more results are asked for
            than are allowed.
    """
    if depth is not None and not 1 <= depth <= allowed:
        raise UsageError(f"--depth is {depth}; allowed is 1 to {allowed}")
    if not names and depth is not None:
        names = [_cut(name, depth) for name in STANDARD]
    measures = parse_measures(names or STANDARD)
    deepest = max(measures, key=lambda name: measures[name].cutoff or 0)
    cutoff = measures[deepest].cutoff or 0
    if cutoff > allowed:
        raise UsageError(
            f"{deepest} needs {cutoff} results per query and a search gives at most {allowed}; "
            "choose a smaller cutoff"
        )
    if depth is None:
        needed = max(measure.needs for measure in measures.values())
        return tuple(measures), max(DEPTH, min(needed, allowed))
    if cutoff > depth:
        raise UsageError(
            f"{deepest} needs {cutoff} results per query and --depth is {depth}; give --depth "
            f"{cutoff} or more, leave --depth out, or choose a smaller cutoff"
        )
    return tuple(measures), depth


def _cut(name: str, depth: int) -> str:
    head, cutoff = name.split("@")
    return f"{head}@{min(int(cutoff), depth)}"


def _parse(name: str) -> Measure:
    if found := _F.fullmatch(name):
        return _f_measure(float(found["beta"]), found["settings"] or "", found["cutoff"] or "")
    if found := _HOLE.fullmatch(name):
        parts = (_ir_measure(f"Judged@{found['cutoff']}"), _ir_measure("NumRet"))
        return Measure(parts, lambda values: 1 - values[0] if values[1] else 0.0)
    return Measure((_ir_measure(_as_ir_measures(name)),))


def _f_measure(beta: float, settings: str, cutoff: str) -> Measure:
    if not beta > 0:
        raise ValueError("its weight of recall is 0, allowed is more")
    square = beta * beta

    def combine(values: Sequence[float]) -> float:
        precision, recall = values
        below = square * precision + recall
        return (1 + square) * precision * recall / below if below else 0.0

    heads = ("P", "R") if cutoff else ("SetP", "SetR")
    return Measure(tuple(_ir_measure(f"{head}{settings}{cutoff}") for head in heads), combine)


def _as_ir_measures(name: str) -> str:
    """A name that others use, as ir_measures spells it; what it knows itself stays."""
    import ir_measures

    head = re.match(r"[\w-]*", name)
    found = _NAME.fullmatch(name)
    if found is None or (head and head.group() in ir_measures.measures.registry):
        return name
    known = _KNOWN.get(re.sub(r"[_-]", "", found["word"]).lower())
    if known is None:
        return name
    cutoff = found["cutoff"]
    return known + (found["settings"] or "") + (f"@{cutoff}" if cutoff else "")


def _ir_measure(name: str) -> Any:
    """The measure, whole numbers made floats where it takes these: SetF(beta=2) is SetF(beta=2.0).

    Raises:
        ValueError: it lacks a setting, or a number is out of range, for which trec_eval would end
            the process.
        AssertionError: it has a setting that it can't have.
    """
    import ir_measures

    measure = ir_measures.parse_measure(name)
    kinds = measure.SUPPORTED_PARAMS
    for name, kind in kinds.items():
        if kind.required and name not in measure.params:
            raise ValueError(f"it needs {name}")
    given = {
        name: float(value) if type(value) is int and name in kinds and kinds[name].dtype is float
        else value
        for name, value in measure.params.items()
    }  # fmt: skip
    for name, value in given.items():
        numbers = [*value, *value.values()] if isinstance(value, dict) else [value]
        for number in numbers:
            least = 1 if name == "cutoff" else 0
            if isinstance(number, int | float) and not least <= number <= LARGEST:
                raise ValueError(f"{name} is {number}, allowed is {least} to {LARGEST}")
    checked = measure(**given) if given else measure
    checked.validate_params()
    return checked


@dataclass(frozen=True)
class Measured:
    """Measures of a run by name: ``means``, and ``per_query``, the value of each judged query."""

    means: dict[str, float]
    per_query: dict[str, dict[str, float]]


def measured(qrels: Qrels, run: Run, names: Sequence[str] = STANDARD) -> Measured:
    """Measures of the queries of the qrels, each 0 for a query without results, and their means.

    Rankings count in the order given; gains are the grades, and what is below 1 is not relevant.

    Raises:
        UsageError: a measure is unknown or can't be computed here.
    """
    measures = parse_measures(names)
    parts = dict.fromkeys(part for measure in measures.values() for part in measure.parts)
    try:
        values = _values(qrels, run, list(parts))
    except Exception as error:  # what its providers raise has no common base
        raise UsageError(
            f"a measure of {', '.join(names)} can't be computed here: "
            f"{' '.join(str(error).split()) or type(error).__name__}"
        ) from error
    means, per_query = {}, {}
    for name, measure in measures.items():
        columns = [values[part] for part in measure.parts]
        # A few measures, such as Accuracy, have no value for some queries.
        found = {place: measure.value([each[place] for each in columns]) for place in columns[0]}
        means[name] = measure.mean(found.values())
        per_query[name] = {query: found.get(place, 0.0) for place, query in enumerate(qrels)}
    return Measured(means, per_query)


def measure(qrels: Qrels, run: Run, names: Sequence[str] = STANDARD) -> dict[str, float]:
    """Mean of each measure, as ``measured`` says.

    Raises:
        UsageError: as for ``measured``.
    """
    return measured(qrels, run, names).means


def measure_queries(qrels: Qrels, run: Run, name: str) -> dict[str, float]:
    """The measure of each query, as ``measured`` says.

    Raises:
        UsageError: as for ``measured``.
    """
    return measured(qrels, run, [name]).per_query[name]


def _values(qrels: Qrels, run: Run, measures: Sequence[Any]) -> dict[Any, dict[int, float]]:
    """Values of ir_measures' measures, by the place of the query among the qrels.

    It computes nDCG with the gains and the threshold of any measure asked for beside it, so that
    only those of equal settings are asked for at once.
    """
    import ir_measures

    judged, scored = _numbered(qrels, run)
    trec_eval = ir_measures.providers.registry["pytrec_eval"]
    values: dict[Any, dict[int, float]] = {measure: {} for measure in measures}
    alike: dict[tuple[bool, str], list[Any]] = {}
    for measure in measures:
        settings = {name: value for name, value in measure.params.items() if name != "cutoff"}
        alike.setdefault((trec_eval.supports(measure), repr(settings)), []).append(measure)
    for (by_trec_eval, _), group in alike.items():
        known = _without_negative(judged) if by_trec_eval else judged
        for metric in ir_measures.iter_calc(group, known, scored):
            values[metric.measure][int(metric.query_id)] = float(metric.value)
    return values


def _numbered(qrels: Qrels, run: Run) -> tuple[list[Any], list[Any]]:
    """What ir_measures takes, with numbers for all ids, and scores that fall by one a rank.

    Some of its programs read TREC files, where white space parts and queries have no other names,
    and each breaks ties in a way of its own.
    """
    import ir_measures

    documents: dict[str, int] = {}

    def number(document: str) -> str:
        return str(documents.setdefault(document, len(documents)))

    judged = [
        ir_measures.Qrel(str(place), number(document), grade)
        for place, query in enumerate(qrels)
        for document, grade in qrels[query].items()
    ]
    scored = [
        ir_measures.ScoredDoc(str(place), number(document), float(-rank))
        for place, query in enumerate(qrels)
        for rank, (document, _) in enumerate(run.get(query, ()))
    ]
    return judged, scored


def _without_negative(judged: list[Any]) -> list[Any]:
    """Judgements without grades below 0, which trec_eval takes for none, and each query kept.

    pytrec_eval writes beyond its arrays where it meets one, which ends the process or never ends.
    """
    import ir_measures

    kept = [each for each in judged if each.relevance >= 0]
    lost = {each.query_id for each in judged} - {each.query_id for each in kept}
    # Of a number that no document has.
    return kept + [ir_measures.Qrel(query, "none", 0) for query in sorted(lost)]
