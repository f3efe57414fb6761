"""What systems score on a test collection, through the pipeline that serves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from eval.datasets import Dataset
from eval.experiment import evaluate
from eval.judging import Judge
from eval.measures import measure_queries
from eval.significance import PairedTest, holm, paired_t_test
from hybrid_bench.results import Results
from hybrid_bench.systems import System
from index.collection.collection import Collection
from index.search.config import SearchConfig
from index.search.defaults import SearchDefaults
from index.search.fusion import Fusion
from index.search.fusion_text import fusion_text
from index.search.plan import plan_search

MEASURES = ("nDCG@10", "MAP@100", "Recall@100")
MEASURE = MEASURES[0]
DEPTH = 100


@dataclass(frozen=True)
class Score:
    """Means of the measures, nDCG@10 of each query, and the fusion where that was tuned."""

    measures: dict[str, float]
    per_query: dict[str, float] = field(repr=False)
    fusion: str | None = None


@dataclass(frozen=True)
class Judged:
    """A test collection, and what was found of it before."""

    dataset: Dataset
    collection: Collection
    results: Results = field(default_factory=Results, repr=False)

    def score(self, system: System, fusion: Fusion | None = None) -> Score:
        """Search for every query as a user would; ``fusion`` is in place of the system's own."""
        config = replace(system.config, limit=DEPTH, payload=False, highlight=False)
        if fusion is not None:
            config = replace(config, fusion=fusion)
        used = plan_search(self.collection.fields, config).fusion
        key = self._key(config, used)
        found = self.results.get(self.dataset.name, system.name, key)
        if found is None:
            result = evaluate(self.dataset, self.collection, config, MEASURES)
            per_query = measure_queries(self.dataset.qrels, result.run, MEASURE)
            found = {
                "measures": result.measures,
                "per_query": per_query,
                "fusion": None if fusion is None else fusion_text(fusion),
            }
            self.results.put(self.dataset.name, system.name, key, found)
        return Score(**found)

    def tuning_means(self, system: System) -> list[float]:
        """Mean nDCG@10 of each fusion of a system's grid, of rankings made once for all."""
        key = self._key(system.config, system.tuned)
        found = self.results.get(self.dataset.name, f"{system.name}: grid", key)
        if found is None:
            using = str(system.config.using)
            queries, qrels = self.dataset.queries, self.dataset.qrels
            with self.collection.pinned() as view:
                judge = Judge(view, self.collection, using, queries, qrels, MEASURE)
                means = [
                    float(judge.scores(SearchDefaults(fusion)).mean()) for fusion in system.tuned
                ]
            found = {"means": means}
            self.results.put(self.dataset.name, f"{system.name}: grid", key, found)
        return list(found["means"])

    def _key(self, config: SearchConfig, *more: object) -> str:
        """12 hexadecimal digits over all that a score depends on, but for the code."""
        built = [(each.name, each.fingerprint) for each in self.collection.fields]
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
