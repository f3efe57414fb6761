"""The settings that a tuning tries: fusions with weights from a grid, feedback, dense weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations

from index.collection.field import Field
from index.search.feedback import AFTER, BOTH, Average, Feedback, Rm3, Rocchio
from index.search.fusion import CombMnz, Fusion, LinearFusion, ReciprocalRankFusion

NORMS = ("max", "min-max", "z-score", "dbsf")
RRF_K = (10.0, 60.0)
DENSE_WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)
EFFORTS = (0.1, 0.25, 0.5, 0.75)
# Steps of the grid from a weight of 0 to one of 1, by how many fields are fused.
STEPS = {2: 10, 3: 5}
# How often the step is halved around the best.
HALVINGS = 2


def fusions(names: Sequence[str]) -> list[Fusion]:
    """The fusions tried of these rankings, the weights of the linear ones on the whole grid."""
    found: list[Fusion] = [ReciprocalRankFusion(k) for k in RRF_K]
    found.append(CombMnz())
    found += [
        LinearFusion(dict(zip(names, weights, strict=True)), norm)
        for norm in NORMS
        for weights in _simplex(len(names), steps_of(len(names)))
    ]
    return found


def steps_of(rankings: int) -> int:
    """The steps of the grid over the weights of so many rankings."""
    return STEPS.get(rankings, 4)


def neighbours(fusion: LinearFusion, step: float) -> Iterator[LinearFusion]:
    """The same with a part of one weight given to another, where none is below 0 then.

    The weights are those of ``fusions``, which are 1 together.
    """
    for giving, taking in permutations(fusion.weights, 2):
        left = round(fusion.weights[giving] - step, 6)
        if left >= 0:
            more = round(fusion.weights[taking] + step, 6)
            yield replace(fusion, weights={**fusion.weights, giving: left, taking: more})


def feedbacks(fields: Sequence[Field]) -> list[Feedback]:
    """The feedback tried of each field, where several are fused of that alone and of all."""
    found: list[Feedback] = []
    for field in fields:
        methods: list[type[Feedback]] = [Rm3] if field.counts else [Rocchio]
        if field.kind == "dense":
            methods.append(Average)
        for method in methods:
            for rounds in (AFTER, BOTH) if len(fields) > 1 else ("",):
                found.append(method(using=field.name, interpolation=rounds))
    return found


def _simplex(parts: int, steps: int) -> Iterator[tuple[float, ...]]:
    """All weights of so many parts that are 1 together and multiples of 1 / steps."""

    def counts(left: int, total: int) -> Iterator[tuple[int, ...]]:
        if left == 1:
            yield (total,)
            return
        for first in range(total + 1):
            for rest in counts(left - 1, total - first):
                yield (first, *rest)

    for each in counts(parts, steps):
        yield tuple(round(count / steps, 6) for count in each)
