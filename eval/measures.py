"""Effectiveness measures, computed by ir_measures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from eval.run import Run, descending
from lsr.corpus.qrels import Qrels
from lsr.errors import UsageError

STANDARD = ("nDCG@10", "Recall@100", "MRR@10", "MAP@100")
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
            measures[name] = ir_measures.parse_measure(SPELLED.get(word, word) + name[len(word) :])
        except (NameError, ValueError, SyntaxError, TypeError):
            unknown.append(name)
    if unknown:
        raise UsageError(
            f"unknown measures: {', '.join(unknown)}; write them as papers do, for example "
            f"{', '.join(STANDARD)}, P@5, or any other measure of ir_measures"
        )
    return measures


def measure(qrels: Qrels, run: Run, names: Sequence[str] = STANDARD) -> dict[str, float]:
    """Mean of each measure over the queries of the qrels, 0 for a query without results.

    Raises:
        UsageError: a measure is unknown or can't be computed here.
    """
    import ir_measures

    measures = parse_measures(names)
    try:
        values = ir_measures.calc_aggregate(list(measures.values()), *_judged(qrels, run))
    except RuntimeError as error:
        raise UsageError(f"a measure can't be computed here: {error}") from error
    return {name: float(values[measure]) for name, measure in measures.items()}


def measure_queries(qrels: Qrels, run: Run, name: str) -> dict[str, float]:
    """The measure of each query of the qrels, 0 for one without results.

    Raises:
        UsageError: as for ``measure``.
    """
    import ir_measures

    [wanted] = parse_measures([name]).values()
    values = dict.fromkeys(qrels, 0.0)
    try:
        for metric in ir_measures.iter_calc([wanted], *_judged(qrels, run)):
            values[metric.query_id] = float(metric.value)
    except RuntimeError as error:
        raise UsageError(f"a measure can't be computed here: {error}") from error
    return values


def _judged(qrels: Qrels, run: Run) -> tuple[list[Any], list[Any]]:
    """What ir_measures takes."""
    import ir_measures

    judged = [
        ir_measures.Qrel(query, document, grade)
        for query, judgements in qrels.items()
        for document, grade in judgements.items()
    ]
    scored = [
        ir_measures.ScoredDoc(query, document, score)
        for query, ranking in run.items()
        if query in qrels
        for document, score in descending(ranking)
    ]
    return judged, scored
