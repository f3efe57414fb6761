"""What systems score on a test collection, through the pipeline that serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from eval.datasets import Dataset
from eval.experiment import evaluate
from eval.measures import measure_queries
from eval.run import Run
from eval.significance import holm, paired_t_test
from hybrid_bench.systems import System
from index.collection.collection import Collection
from index.search.config import FUSION_DEPTH, SearchConfig
from index.search.fusion import Fusion

MEASURES = ("nDCG@10", "MAP@100", "Recall@100")
DEPTH = 100


@dataclass(frozen=True)
class Score:
    """Means of the measures, nDCG@10 of each query, and milliseconds a query."""

    measures: dict[str, float]
    per_query: dict[str, float] = field(repr=False)
    ms: float
    fusion: Fusion | None = None


@dataclass(frozen=True)
class Judged:
    """A test collection, and for each sparse encoder the collection that has it."""

    dataset: Dataset
    collections: Mapping[str, Collection]
    # What was found and scored already, for other fusions and other collections' tuning.
    _runs: dict[tuple[str, str], Run] = field(default_factory=dict, repr=False)
    _tuning: dict[tuple[str, str], float] = field(default_factory=dict, repr=False)

    def score(self, system: System, fusion: Fusion | None = None) -> Score:
        """Search for every query as a user would; ``fusion`` is in place of the system's own."""
        config = replace(system.config, limit=DEPTH, payload=False, highlight=False)
        if fusion is not None:
            config = replace(config, fusion=fusion)
        result = evaluate(self.dataset, self.collections[system.sparse], config, MEASURES)
        per_query = measure_queries(self.dataset.qrels, result.run, "nDCG@10")
        return Score(result.measures, per_query, result.ms_per_query, fusion)

    def tuning_score(self, system: System, fusion: Fusion) -> float:
        """Mean nDCG@10 of a fusion of the fields, as ``fused``."""
        key = system.parts, repr(fusion)
        if key not in self._tuning:
            fused = self.fused(system, fusion)
            values = measure_queries(self.dataset.qrels, fused, "nDCG@10").values()
            self._tuning[key] = float(np.mean(list(values)))
        return self._tuning[key]

    def fused(self, system: System, fusion: Fusion) -> Run:
        """The rankings of a fusion of fields each of which was searched once for all fusions."""
        using = (system.config.using or "").split("+")
        runs = {name: self._run(system.sparse, name) for name in using}
        numbers = self._numbers[system.sparse]
        ids = list(numbers)
        found = {}
        for query in self.dataset.qrels:
            rankings = {
                name: [(numbers[document], score) for document, score in run[query]]
                for name, run in runs.items()
            }
            fused = fusion.fuse(rankings)[:DEPTH]
            found[query] = [(ids[number], score) for number, score in fused]
        return found

    @cached_property
    def _numbers(self) -> dict[str, dict[str, int]]:
        """Of each collection, ids by their order of writing."""
        return {
            name: {document: place for place, document in enumerate(collection.ids())}
            for name, collection in self.collections.items()
        }

    def _run(self, sparse: str, using: str) -> Run:
        """One field alone, as deep as fusions go."""
        if (sparse, using) not in self._runs:
            config = SearchConfig(using=using, limit=FUSION_DEPTH, payload=False, highlight=False)
            self._runs[sparse, using] = evaluate(
                self.dataset, self.collections[sparse], config, MEASURES[:1]
            ).run
        return self._runs[sparse, using]


def tuned(system: System, others: Sequence[Judged]) -> Fusion:
    """The fusion of a system's grid that has the best mean over other test collections."""
    means = [
        float(np.mean([judged.tuning_score(system, fusion) for judged in others]))
        for fusion in system.tuned
    ]
    return system.tuned[int(np.argmax(means))]


def against_best_single(scores: Mapping[str, Score], singles: Sequence[str]) -> dict[str, float]:
    """Holm's p of each other system against the best single one, by nDCG@10 of each query."""
    best = max(singles, key=lambda name: scores[name].measures["nDCG@10"])
    others = [name for name in scores if name not in singles]
    found = [paired_t_test(scores[name].per_query, scores[best].per_query).p for name in others]
    return {name: float(f"{p:.2g}") for name, p in zip(others, holm(found), strict=True)}
