"""Results by row, seed and collection, and their means over seeds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from recipe_bench.jobs import Job, Places
from recipe_bench.results import Measured, Results
from recipe_bench.scores import Score

Scores = Mapping[str, Score]
"""Collection to score."""


@dataclass
class Tables:
    """What was measured of the rows that were asked for.

    ``scores`` and ``facts`` by row and seed; ``failed`` has why a training collapsed;
    ``missing`` are jobs with no result. ``machines`` and ``versions`` are those of the trainings,
    or of all rows where nothing was trained.
    """

    collections: tuple[str, ...]
    scores: dict[str, dict[int, Scores]] = field(default_factory=dict)
    facts: dict[str, dict[int, Mapping[str, Any]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    machines: list[Mapping[str, Any]] = field(default_factory=list)
    versions: list[Mapping[str, str]] = field(default_factory=list)

    def mean(self, row: str, seeds: Collection[int] = ()) -> dict[str, Score]:
        """Collection to the mean over these seeds of a row, or all, query by query."""
        found = [scores for seed, scores in self.scores[row].items() if not seeds or seed in seeds]
        return {name: mean_score([one[name] for one in found]) for name in self.collections}

    def overall(self, row: str, value: str) -> float | None:
        """Mean over collections and seeds of a member of ``Score``; None where it has none."""
        values = [getattr(score, value) for score in self.mean(row).values()]
        return None if None in values else fmean(values)

    def spread(self, row: str) -> float | None:
        """Standard deviation over seeds of the mean nDCG@10; None of fewer than two."""
        means = [
            fmean(score.ndcg_at_10 for score in scores.values())
            for scores in self.scores[row].values()
        ]
        return stdev(means) if len(means) > 1 else None

    def fact(self, row: str, name: str) -> float | None:
        """Mean over seeds of something that was noted of the trainings; None where it was not."""
        values = [float(facts[name]) for facts in self.facts[row].values() if name in facts]
        return fmean(values) if values else None

    def rows(self) -> Iterator[dict[str, Any]]:
        """Row, number of seeds, collection, and the means of each number."""
        for row in self.scores:
            for name, score in self.mean(row).items():
                numbers = {key: value for key, value in vars(score).items() if key != "per_query"}
                rounded = {key: value and round(value, 4) for key, value in numbers.items()}
                yield {"row": row, "seeds": len(self.scores[row]), "collection": name} | rounded


def mean_score(scores: Iterable[Score]) -> Score:
    """The mean of scores on one collection, query by query."""
    found = list(scores)

    def mean(name: str) -> float | None:
        values = [getattr(score, name) for score in found]
        return None if None in values else fmean(values)

    return Score(
        fmean(score.ndcg_at_10 for score in found),
        fmean(score.recall_at_100 for score in found),
        mean("nnz"),
        mean("flops"),
        mean("microseconds"),
        {query: fmean(score.per_query[query] for score in found) for query in found[0].per_query},
        mean("query_nnz"),
    )


def collected(jobs: Iterable[Job], places: Places, results: Results) -> Tables:
    """The results of jobs; a row of which a collection is missing is missing as a whole."""
    tables = Tables(places.collections)
    made: list[tuple[bool, Measured]] = []
    for job in jobs:
        for row, key in job.keys(places).items():
            found = results.of(key)
            if "" in found:
                tables.failed[job.name] = found[""].failed
                continue
            scores = {name: found[name].score for name in places.collections if name in found}
            whole = {name: score for name, score in scores.items() if score is not None}
            if len(whole) < len(places.collections):
                tables.missing.append(job.name)
                continue
            one = found[places.collections[0]]
            tables.scores.setdefault(row, {})[job.seed] = whole
            tables.facts.setdefault(row, {})[job.seed] = one.facts
            made.append((bool(job.seed), one))
    for trained, one in made:
        if trained or not any(seed for seed, _ in made):
            tables.machines += [one.machine] if one.machine not in tables.machines else []
            tables.versions += [one.versions] if one.versions not in tables.versions else []
    return tables
