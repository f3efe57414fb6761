"""Tuning: how the fields of a collection are searched best, by queries with judgements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.judging import Judge, Told
from eval.measures import measures_and_depth
from eval.significance import Interval, mean_interval
from eval.tuning_grid import (
    DENSE_WEIGHTS,
    EFFORTS,
    HALVINGS,
    feedbacks,
    fusions,
    neighbours,
    steps_of,
)
from index.collection.writable import Writable
from index.search.config import FUSION_DEPTH, SearchConfig
from index.search.default_fusion import default_fusion
from index.search.defaults import SearchDefaults, keep_defaults
from index.search.fusion import LinearFusion
from index.search.plan import plan_search
from lsr.corpus.documents import Query
from lsr.corpus.qrels import Qrels
from lsr.encoders.dense import is_concatenated
from lsr.errors import InputError, UsageError

MEASURE = "nDCG@10"
FOLDS = 5
# What of the measure an effort must keep.
KEPT = 0.99
# What a setting must be better by than one that was tried before.
LEAST_GAIN = 1e-9


@dataclass(frozen=True)
class Tuning:
    """What a tuning found.

    ``default`` and ``chosen`` are settings, ``default_mean`` and ``chosen_mean`` their measure over
    all queries. ``gain`` is of the queries of each fold by what was chosen without them
    (``fold_choices``), with 95 % confidence. ``written``: whether the collection keeps the choice.
    """

    using: str
    measure: str
    queries: int
    default: SearchDefaults
    chosen: SearchDefaults
    default_mean: float
    chosen_mean: float
    gain: Interval
    fold_choices: tuple[SearchDefaults, ...]
    written: bool = False

    @property
    def is_sure(self) -> bool:
        """Whether the whole interval of the gain is above 0."""
        return self.gain.low > 0

    def to_json(self) -> dict[str, Any]:
        """All of it, settings in their text forms."""
        return {
            "using": self.using,
            "measure": self.measure,
            "queries": self.queries,
            "default": {"settings": self.default.texts(), "mean": self.default_mean},
            "chosen": {"settings": self.chosen.texts(), "mean": self.chosen_mean},
            "gain": {"mean": self.gain.mean, "low": self.gain.low, "high": self.gain.high},
            "folds": [each.texts() for each in self.fold_choices],
            "written": self.written,
        }


def tune(
    collection: Writable,
    queries: Sequence[Query],
    qrels: Qrels,
    *,
    using: str | None = None,
    measure: str = MEASURE,
    folds: int = FOLDS,
    feedback: bool = True,
    write: bool = True,
    force: bool = False,
    progress: Told = lambda done, label: None,
) -> Tuning:
    """Find how to search a collection, and make it the default of its searches.

    Never by queries on which results are reported. The settings are chosen as ``choose`` says, by
    all queries, and for each fold by the queries of the others; what these gain on their own fold
    is the gain. The effort is the least of a few that keeps 99 % of the measure.

    Args:
        collection: what is searched.
        queries: those judged are used, all of which must be there.
        qrels: the judgements.
        using: what is searched, as in ``SearchConfig``.
        measure: such as ``nDCG@10``.
        folds: 2 or more, and at most one for each query.
        feedback: whether pseudo-relevance feedback is tried.
        write: whether the choice is kept, where the gain's interval is above 0.
        force: whether it is kept even where it isn't.
        progress: is told of each setting tried, how many there were and what is being done.

    Raises:
        InputError: a judged query is missing, or there are too few.
        UsageError: the measure, the field or the number of folds can't be.
        LockedError: another process is writing.
    """
    measures_and_depth([measure], None, FUSION_DEPTH)
    asked = _judged(queries, qrels)
    if not 2 <= folds <= len(asked):
        raise UsageError(
            f"the folds are {folds}; allowed is 2 to the number of judged queries, {len(asked)}"
        )
    if write:
        collection.store.check_writable()
    with collection.pinned() as view:
        plan = plan_search(view.fields, SearchConfig(using=using, tuned=False))
        fields = [each.field for each in plan.searches]
        default = SearchDefaults(default_fusion(fields) if plan.fusion else None)
        judge = Judge(view, collection, plan.using, asked, qrels, measure, progress)
        everything = np.arange(len(asked))
        choices, gains = [], np.zeros(len(asked))
        for fold in split(len(asked), folds):
            choice = choose(judge, np.setdiff1d(everything, fold), default, feedback)
            gains[fold] = (judge.scores(choice) - judge.scores(default))[fold]
            choices.append(choice)
        chosen = choose(judge, everything, default, feedback)
        effort = None
        if any(field.kind == "sparse" for field in fields):
            effort = _least_effort(judge, chosen)
        found = Tuning(
            using=plan.using,
            measure=measure,
            queries=len(asked),
            default=default,
            chosen=replace(chosen, effort=effort),
            default_mean=float(judge.scores(default).mean()),
            chosen_mean=float(judge.scores(chosen).mean()),
            gain=mean_interval(gains.tolist()),
            fold_choices=tuple(choices),
        )
    if not write or not (found.is_sure or force):
        return found
    keep_defaults(collection, using, found.chosen)
    return replace(found, written=True)


def split(queries: int, folds: int) -> list[NDArray[np.int64]]:
    """The places of each fold, int64, ascending: all of them once, the same at each call."""
    order = np.random.default_rng(0).permutation(queries)
    return [np.sort(part).astype(np.int64) for part in np.array_split(order, folds)]


def choose(
    judge: Judge, rows: NDArray[np.int64], default: SearchDefaults, feedback: bool = True
) -> SearchDefaults:
    """The best setting by the queries of some places, and by no others.

    First the fusion of the grid, for each weight of a second dense model, and closer weights
    around the best; then feedback. Of equals the first tried is taken, and the default is before
    all.
    """

    def better(best: SearchDefaults, tried: Iterator[SearchDefaults]) -> SearchDefaults:
        highest = judge.scores(best)[rows].mean()
        for each in tried:
            mean = judge.scores(each)[rows].mean()
            if mean > highest + LEAST_GAIN:
                best, highest = each, mean
        return best

    fields = judge.fields
    names = [field.name for field in fields]
    fused = fusions(names) if len(fields) > 1 else [None]
    weights: list[float | None] = [None]
    if any(field.kind == "dense" and is_concatenated(field.encoder) for field in fields):
        weights += DENSE_WEIGHTS
    best = better(default, (SearchDefaults(each, None, w) for w in weights for each in fused))
    if isinstance(best.fusion, LinearFusion) and best != default:
        step = 1 / steps_of(len(names))
        for _ in range(HALVINGS):
            step /= 2
            best = better(best, _closer(best, best.fusion, step))
    if feedback:
        best = better(best, (replace(best, feedback=each) for each in feedbacks(fields)))
    return best


def _closer(best: SearchDefaults, fusion: object, step: float) -> Iterator[SearchDefaults]:
    if isinstance(fusion, LinearFusion):
        yield from (replace(best, fusion=each) for each in neighbours(fusion, step))


def _least_effort(judge: Judge, chosen: SearchDefaults) -> float:
    wanted = KEPT * judge.scores(chosen).mean()
    for effort in EFFORTS:
        if judge.scores(replace(chosen, effort=effort)).mean() >= wanted:
            return effort
    return 1.0


def _judged(queries: Sequence[Query], qrels: Qrels) -> list[Query]:
    """The queries that are judged.

    Raises:
        InputError: one is missing or there are several of an id.
    """
    asked = [query for query in queries if query.id in qrels]
    ids = {query.id for query in asked}
    if len(ids) < len(asked):
        raise InputError("some queries have the same id; give each its own")
    if missing := sorted(set(qrels) - ids):
        raise InputError(
            f"{len(missing)} judged queries are not among the queries, such as {missing[0]!r}; "
            "give the file that has them"
        )
    if len(asked) < 2:
        raise InputError(f"tuning needs two judged queries or more, and there are {len(asked)}")
    return asked
