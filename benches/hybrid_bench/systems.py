"""The systems that the bench compares: named searches of a collection, each a SearchConfig."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product

from hybrid_bench.indexed import LAMBDA
from index.collection.field import DENSE
from index.search.config import LARGEST_LIMIT, SearchConfig
from index.search.fusion import CombMnz, Fusion, LinearFusion, ReciprocalRankFusion

DEFAULT, TUNED = "default", "tuned"
METHODS: Mapping[str, Fusion] = {
    "RRF": ReciprocalRankFusion(),
    "min-max": LinearFusion(norm="min-max"),
    "z-score": LinearFusion(norm="z-score"),
    "DBSF": LinearFusion(norm="dbsf"),
    "CombMNZ": CombMnz(),
}
NORMS = ("max", "min-max", "z-score")
# Of a field beside the first, whose weight is 1.
DENSE_WEIGHTS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
SPARSE_WEIGHTS = (0.1, 0.2, 0.5, 1.0)
# Of Lambda, whose inner products are not cosines.
LAMBDA_WEIGHTS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class System:
    """A search to be measured.

    ``tuned`` are fusions of which the one is taken that does best on the other collections; with
    none, ``config`` is searched as it is.
    """

    parts: str
    method: str
    config: SearchConfig
    tuned: Sequence[Fusion] = field(default=(), repr=False)
    # Whether it is one of the fields that fusions are compared with.
    single: bool = False

    @property
    def name(self) -> str:
        """Parts and method."""
        return f"{self.parts} {self.method}".strip()


def single_systems(fields: Mapping[str, str]) -> list[System]:
    """Each field, by its label, alone."""
    return [
        System(label, "", SearchConfig(using=name), single=True) for label, name in fields.items()
    ]


def fused_systems(fields: Mapping[str, str]) -> list[System]:
    """Every fusion of two and of three fields, which are given by label."""
    found = []
    for parts in (2, 3):
        for labels in combinations(fields, parts):
            found += _every_method("+".join(labels), [fields[label] for label in labels])
    return found


def _every_method(parts: str, names: Sequence[str]) -> list[System]:
    using = "+".join(names)
    found = [
        System(parts, method, SearchConfig(using=using, fusion=fusion))
        for method, fusion in METHODS.items()
    ]
    weights = [DENSE_WEIGHTS if name == DENSE else SPARSE_WEIGHTS for name in names[1:]]
    grid = [
        LinearFusion({names[0]: 1.0, **dict(zip(names[1:], chosen, strict=True))}, norm)
        for norm in NORMS
        for chosen in product(*weights)
    ]
    return [
        System(parts, DEFAULT, SearchConfig(using=using)),
        *found,
        System(parts, TUNED, SearchConfig(using=using), grid),
    ]


def spar_systems() -> list[System]:
    """Lambda alone, and SPAR: the scores of the dense field and mu times those of Lambda.

    These are the scores of the one field ``MODEL+LAMBDA``, of every document.
    """
    grid = [LinearFusion({LAMBDA: weight}, "none") for weight in LAMBDA_WEIGHTS]
    config = SearchConfig(using=f"{DENSE}+{LAMBDA}", fusion_depth=2 * LARGEST_LIMIT)
    return [
        System("Lambda", "", SearchConfig(using=LAMBDA)),
        System("SPAR", TUNED, config, grid),
    ]
