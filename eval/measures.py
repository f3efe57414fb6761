"""Effectiveness measures, computed by ir_measures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from eval.run import Run, descending
from lsr.corpus.qrels import Qrels
from lsr.errors import UsageError

STANDARD = ("nDCG@10", "Recall@100", "MRR@10", "MAP@100")
LARGEST = 1_000_000
# Names that papers on retrieval use, as ir_measures spells them.
SPELLED = {"Recall": "R", "MRR": "RR", "MAP": "AP"}


def parse_measures(names: Sequence[str]) -> dict[str, Any]:
    """ir_measures objects by the names given: ``nDCG@10``, ``Recall@100``, ``RR@10``, ...

    Raises:
        UsageError: some names are unknown; all of them are named.
    """
    import ir_measures

    measures, unknown = {}, []
    for name in names:
        head = re.match(r"[A-Za-z]*", name)
        word = head.group() if head else ""
        try:
            parsed = ir_measures.parse_measure(SPELLED.get(word, word) + name[len(word) :])
            measures[name] = _with_settings(parsed)
        except (NameError, SyntaxError, TypeError, MemoryError, RecursionError):
            unknown.append(name)
        # Of settings, ir_measures asserts what it expects.
        except (ValueError, AssertionError) as error:
            unknown.append(f"{name} ({error})" if str(error) else name)
    if unknown:
        raise UsageError(
            f"unknown measures: {', '.join(unknown)}; write them as papers do, for example "
            f"{', '.join(STANDARD)}, P@5, or any other measure of ir_measures"
        )
    return measures


def _with_settings(measure: Any) -> Any:
    """The measure, whole numbers made floats where it takes these: SetF(beta=2) is SetF(beta=2.0).

    Raises:
        ValueError: it lacks a setting, or a number is out of range, for which trec_eval would end
            the process.
        AssertionError: it has a setting that it can't have.
    """
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


def measure(qrels: Qrels, run: Run, names: Sequence[str] = STANDARD) -> dict[str, float]:
    """Mean of each measure over the queries of the qrels, 0 for a query without results.

    Raises:
        UsageError: a measure is unknown or can't be computed here.
    """
    import ir_measures

    measures = parse_measures(names)
    try:
        judged, scored, _ = _judged(qrels, run)
        values = ir_measures.calc_aggregate(list(measures.values()), judged, scored)
    except Exception as error:  # what its providers raise has no common base
        raise _not_computed(names, error) from error
    return {name: float(values[measure]) for name, measure in measures.items()}


def measure_all(
    qrels: Qrels, run: Run, names: Sequence[str] = STANDARD
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Each measure as ``measure`` has it, and as ``measure_queries`` has it.

    Raises:
        UsageError: as for ``measure``.
    """
    return measure(qrels, run, names), {name: measure_queries(qrels, run, name) for name in names}


def measure_queries(qrels: Qrels, run: Run, name: str) -> dict[str, float]:
    """The measure of each query of the qrels, 0 for one without results.

    Raises:
        UsageError: as for ``measure``.
    """
    import ir_measures

    [wanted] = parse_measures([name]).values()
    values = dict.fromkeys(qrels, 0.0)
    try:
        judged, scored, names = _judged(qrels, run)
        for metric in ir_measures.iter_calc([wanted], judged, scored):
            values[names[int(metric.query_id)]] = float(metric.value)
    except Exception as error:  # what its providers raise has no common base
        raise _not_computed([name], error) from error
    return values


def _not_computed(names: Sequence[str], error: Exception) -> UsageError:
    return UsageError(
        f"a measure of {', '.join(names)} can't be computed here: "
        f"{' '.join(str(error).split()) or type(error).__name__}"
    )


def _judged(qrels: Qrels, run: Run) -> tuple[list[Any], list[Any], list[str]]:
    """What ir_measures takes, and the id of each query by its number.

    Numbers stand for all ids, as some of its programs read TREC files, where white space parts, and
    queries have no other names.
    """
    import ir_measures

    queries = list(qrels)
    documents: dict[str, int] = {}

    def number(document: str) -> str:
        return str(documents.setdefault(document, len(documents)))

    judged = [
        ir_measures.Qrel(str(place), number(document), grade)
        for place, query in enumerate(queries)
        for document, grade in qrels[query].items()
    ]
    scored = [
        ir_measures.ScoredDoc(str(place), number(document), score)
        for place, query in enumerate(queries)
        for document, score in descending(run.get(query, ()))
    ]
    return judged, scored, queries
