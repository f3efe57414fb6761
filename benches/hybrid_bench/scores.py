"""What systems score on a test collection, through the pipeline that serves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from eval.datasets import Dataset
from eval.experiment import evaluate
from eval.measures import measure, measure_queries
from eval.ranking import QUERIES_AT_A_TIME
from eval.run import Run
from eval.significance import PairedTest, holm, paired_t_test
from hybrid_bench.indexed import LAMBDA
from hybrid_bench.results import Results
from hybrid_bench.systems import System
from index.collection.collection import Collection
from index.search.config import FUSION_DEPTH, SearchConfig
from index.search.deadline import Deadline
from index.search.fusion import Fusion, Union
from index.search.fusion_text import fusion_text
from index.search.plan import plan_search
from index.search.query import SearchQuery
from index.search.ranking import encode, rank

MEASURES = ("nDCG@10", "MAP@100", "Recall@100")
MEASURE = MEASURES[0]
DEPTH = 100
# Results that the measure looks at.
MEASURED = 10
Ranking = list[tuple[int, float]]


@dataclass(frozen=True)
class Score:
    """Means of the measures, nDCG@10 of each query, and the fusion where that was tuned."""

    measures: dict[str, float]
    per_query: dict[str, float] = field(repr=False)
    fusion: str | None = None


class UnmeasuredError(Exception):
    """A system was not measured before, and nothing more may be."""


@dataclass(frozen=True)
class Judged:
    """A test collection, and what was found of it before.

    Each field is ranked once for all fusions, as deep as the pipeline fuses; what has feedback, is
    re-ranked or fused deeper goes through the whole pipeline.
    """

    dataset: Dataset
    collection: Collection
    results: Results = field(default_factory=Results, repr=False)
    # Whether what was not found before is measured.
    measuring: bool = True
    _rankings: dict[str, list[Ranking]] = field(default_factory=dict, repr=False)
    # Of the fields that were fused last.
    _unions: dict[str, list[Union]] = field(default_factory=dict, repr=False)

    def score(self, system: System, fusion: Fusion | None = None) -> Score:
        """Search for every query as a user would; ``fusion`` is in place of the system's own.

        Raises:
            UnmeasuredError: nothing more may be measured.
        """
        config = replace(system.config, limit=DEPTH, payload=False, highlight=False)
        if fusion is not None:
            config = replace(config, fusion=fusion)
        used = plan_search(self.collection.fields, config).fusion
        key = self._key(config, used)
        found = self.results.get(self.dataset.name, system.name, key)
        if found is None:
            self._check_measuring()
            run, qrels = self._run(config, used), self.dataset.qrels
            first = {query: ranking[:MEASURED] for query, ranking in run.items()}
            found = {
                "measures": measure(qrels, run, MEASURES),
                "per_query": measure_queries(qrels, first, MEASURE),
                "fusion": None if fusion is None else fusion_text(fusion),
            }
            self.results.put(self.dataset.name, system.name, key, found)
        return Score(**found)

    def tuning_means(self, system: System) -> list[float]:
        """Mean nDCG@10 of each fusion of a system's grid, of rankings as deep as usual.

        Raises:
            UnmeasuredError: nothing more may be measured.
        """
        key = self._key(system.config, system.tuned)
        found = self.results.get(self.dataset.name, f"{system.name}: grid", key)
        if found is None:
            self._check_measuring()
            using = str(system.config.using)
            runs = (self.fused(using, fusion, MEASURED) for fusion in system.tuned)
            values = [measure_queries(self.dataset.qrels, run, MEASURE).values() for run in runs]
            found = {"means": [float(np.mean(list(each))) for each in values]}
            self.results.put(self.dataset.name, f"{system.name}: grid", key, found)
        return list(found["means"])

    def fused(self, using: str, fusion: Fusion, depth: int) -> Run:
        """The first results of each query of a fusion of fields, as the pipeline gives them."""
        if using not in self._unions:
            self._unions.clear()
            self._unions[using] = self._united(using.split("+"))
        ids = self._ids
        found = {}
        for query, union in zip(self.dataset.queries, self._unions[using], strict=True):
            best = union.best(fusion.scores(union), depth)
            found[query.id] = [(ids[number], score) for number, score in best]
        return found

    def _united(self, names: Sequence[str]) -> list[Union]:
        for name in names:
            if name not in self._rankings:
                self._rankings[name] = self._ranked(name)
        return [
            Union({name: self._rankings[name][place] for name in names})
            for place in range(len(self.dataset.queries))
        ]

    def _ranked(self, name: str) -> list[Ranking]:
        """Of each query the ranking of a field, in which numbers stand for documents."""
        config = SearchConfig(using=name, limit=FUSION_DEPTH)
        asked = [SearchQuery(text=query.text) for query in self.dataset.queries]
        found: list[Ranking] = []
        with self.collection.pinned() as view:
            plan = plan_search(view.fields, config)
            for start in range(0, len(asked), QUERIES_AT_A_TIME):
                part = asked[start : start + QUERIES_AT_A_TIME]
                tops = rank(view, plan, encode(view, plan, part), None, config, Deadline())
                found += [tops[name].ranking(place) for place in range(len(part))]
        return found

    def _run(self, config: SearchConfig, fusion: Fusion | None) -> Run:
        again = config.feedback is not None or config.rerank is not None
        if fusion is None or again or fusion.looks_up or config.fusion_depth is not None:
            return evaluate(self.dataset, self.collection, config, MEASURES[:1]).run
        return self.fused(str(config.using), fusion, config.limit)

    @cached_property
    def _ids(self) -> dict[int, str]:
        """Ids of the documents by their numbers."""
        numbers = self.collection.store.sequences(list(self.collection.ids()))
        return {number: document for document, number in numbers.items()}

    def _check_measuring(self) -> None:
        if not self.measuring:
            raise UnmeasuredError

    def _key(self, config: SearchConfig, *more: object) -> str:
        """12 hexadecimal digits over all that a score depends on, but for the code."""
        used = str(config.using).split("+")
        built = [
            (each.name, each.fingerprint)
            for each in self.collection.fields
            # It stands beside the others, and changes nothing of what doesn't use it.
            if each.name != LAMBDA or LAMBDA in used
        ]
        parts = self.dataset.digest(), built, self.collection.passages, config, MEASURES, more
        return hashlib.blake2b(repr(parts).encode(), digest_size=6).hexdigest()


def tuned(system: System, others: Sequence[Judged]) -> Fusion:
    """The fusion of a system's grid that has the best mean over other test collections."""
    means = np.mean([judged.tuning_means(system) for judged in others], axis=0)
    return system.tuned[int(np.argmax(means))]


def best_single(scores: Mapping[str, Score], singles: Sequence[str]) -> str:
    """The name of the single system of the highest nDCG@10."""
    return max(singles, key=lambda name: scores[name].measures[MEASURE])


def against_best_single(
    scores: Mapping[str, Score], singles: Sequence[str]
) -> dict[str, PairedTest]:
    """Each other system against the best single one, by nDCG@10 of each query; p by Holm."""
    best = best_single(scores, singles)
    others = [name for name in scores if name not in singles]
    found = [paired_t_test(scores[name].per_query, scores[best].per_query) for name in others]
    raised = holm([test.p for test in found])
    return {name: replace(test, p=p) for name, test, p in zip(others, found, raised, strict=True)}
