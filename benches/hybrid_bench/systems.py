"""The systems that the bench compares: named searches of a collection, each a SearchConfig."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from index.search.config import SearchConfig
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
WEIGHTS = {"dense": (0.5, 1.0, 1.5, 2.0, 3.0, 4.0), "bm25": (0.1, 0.2, 0.5, 1.0)}


@dataclass(frozen=True)
class System:
    """A search to be measured, of the collection whose sparse field has the encoder ``sparse``.

    ``tuned`` are fusions of which the one is taken that does best on the other collections; with
    none, ``config`` is searched as it is.
    """

    parts: str
    method: str
    sparse: str
    config: SearchConfig
    tuned: Sequence[Fusion] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """Parts and method."""
        return f"{self.parts} {self.method}".strip()


def single_systems(sparse: Mapping[str, str], dense: bool) -> list[System]:
    """BM25, each sparse encoder by its label, and the dense one, alone."""
    first = next(iter(sparse.values()))
    found = [System("bm25", "", first, SearchConfig(using="bm25"))]
    found += [
        System(label, "", name, SearchConfig(using="sparse")) for label, name in sparse.items()
    ]
    return found + ([System("dense", "", first, SearchConfig(using="dense"))] if dense else [])


def fused_systems(sparse: Mapping[str, str], dense: bool) -> list[System]:
    """Every fusion of two and of three of them."""
    found = []
    first = next(iter(sparse.values()))
    if dense:
        found += _every_method("bm25+dense", first, ("bm25", "dense"))
    for label, name in sparse.items():
        found += _every_method(f"{label}+bm25", name, ("sparse", "bm25"))
        if dense:
            found += _every_method(f"{label}+dense", name, ("sparse", "dense"))
            found += _every_method(f"{label}+bm25+dense", name, ("sparse", "bm25", "dense"))
    return found


def _every_method(parts: str, sparse: str, fields: Sequence[str]) -> list[System]:
    using = "+".join(fields)
    found = [
        System(parts, method, sparse, SearchConfig(using=using, fusion=fusion))
        for method, fusion in METHODS.items()
    ]
    grid = [
        LinearFusion({fields[0]: 1.0, **dict(zip(fields[1:], weights, strict=True))}, norm)
        for norm in NORMS
        for weights in product(*(WEIGHTS[name] for name in fields[1:]))
    ]
    return [
        System(parts, DEFAULT, sparse, SearchConfig(using=using)),
        *found,
        System(parts, TUNED, sparse, SearchConfig(using=using), grid),
    ]
