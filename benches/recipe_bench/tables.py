"""Results by row, seed and collection, and their means over seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
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
    or of all rows where nothing was trained. ``timed`` is the machine that most were scored on,
    whose microseconds alone are kept: those of two machines can't be compared.
    """

    collections: tuple[str, ...]
    scores: dict[str, dict[int, Scores]] = field(default_factory=dict)
    facts: dict[str, dict[int, Mapping[str, Any]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    machines: list[Mapping[str, Any]] = field(default_factory=list)
    versions: list[Mapping[str, str]] = field(default_factory=list)
    timed: Mapping[str, Any] = field(default_factory=dict)

    def mean(self, row: str, seeds: Collection[int] = ()) -> dict[str, Score]:
        """Collection to the mean over these seeds of a row, or all, query by query."""
        found = [scores for seed, scores in self.scores[row].items() if not seeds or seed in seeds]
        return {name: mean_score([one[name] for one in found]) for name in self.collections}

    def overall(self, row: str, value: str) -> float | None:
        """Mean over collections and seeds of a member of ``Score``; None where it has none."""
        values = [getattr(score, value) for score in self.mean(row).values()]
        return None if None in values else fmean(values)

    def number(self, row: str, value: str, digits: int) -> str:
        """A cell of ``overall``."""
        found = self.overall(row, value)
        return "–" if found is None else f"{found:.{digits}f}"

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
    """The mean of scores on one collection, query by query; None counts for nothing."""
    found = list(scores)

    def mean(name: str) -> float | None:
        values = [value for score in found if (value := getattr(score, name)) is not None]
        return fmean(values) if values else None

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
    made: list[tuple[Job, str, Mapping[str, Measured]]] = []
    for job in jobs:
        for row, key in job.keys(places).items():
            found = results.of(key)
            if "" in found:
                tables.failed[job.name] = found[""].failed
            elif all(name in found and found[name].score for name in places.collections):
                made.append((job, row, found))
            else:
                tables.missing.append(job.name)
    first = places.collections[0]
    tables.timed = _most_frequent(found[first].machine for _, _, found in made)
    for job, row, found in made:
        here = machine_name(found[first].machine) == machine_name(tables.timed)
        scores = {name: found[name].score for name in places.collections}
        tables.scores.setdefault(row, {})[job.seed] = {
            name: score if here else replace(score, microseconds=None)
            for name, score in scores.items()
            if score is not None
        }
        tables.facts.setdefault(row, {})[job.seed] = found[first].facts
    trained = [found[first] for job, _, found in made if job.seed]
    for one in trained or [found[first] for _, _, found in made]:
        tables.machines += [one.machine] if one.machine not in tables.machines else []
        tables.versions += [one.versions] if one.versions not in tables.versions else []
    return tables


def _most_frequent(machines: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    by_name = [(machine_name(machine), machine) for machine in machines]
    counted = Counter(name for name, _ in by_name)
    return max(by_name, key=lambda one: counted[one[0]], default=("", {}))[1]


def machine_name(machine: Mapping[str, Any]) -> str:
    """For people: of two machines that are alike the same."""
    gpu = f"{machine['gpu']}, " if machine.get("gpu") else ""
    processor, cores = machine.get("processor", "?"), machine.get("cores", "?")
    return f"{gpu}{processor}, {cores} cores, {machine.get('memory_gib', '?')} GiB"
