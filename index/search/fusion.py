"""Fusion: one ranking from several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from index.search.norms import NORMS
from lsr.errors import InputError

LARGEST_WEIGHT = 1e6
MISSING = ("minimum", "zero", "exact")
Rankings = Mapping[str, Sequence[tuple[int, float]]]
"""By name: documents by number with their scores, best first, each document once."""


class Fusion(Protocol):
    """A way to make one ranking of several."""

    @property
    def looks_up(self) -> bool:
        """Whether ``fuse`` wants every document in every ranking, with its true score."""
        ...

    def check_names(self, rankings: Sequence[str]) -> None:
        """Refuse settings of what is not among the rankings.

        Raises:
            InputError: there is such a setting.
        """
        ...

    def fuse(self, rankings: Rankings) -> list[tuple[int, float]]:
        """Documents with fused scores; score descending, then document ascending."""
        ...

    def scores(self, union: Union) -> NDArray[np.float64]:
        """Fused scores, float64 (n,), of the documents of a union, in its order."""
        ...

    def describe(self) -> dict[str, Any]:
        """Its settings, in the JSON that asks for it."""
        ...


@dataclass(frozen=True, slots=True)
class ReciprocalRankFusion:
    """Cormack, Clarke and Buettcher (2009): score(d) = sum over rankings of w / (k + rank(d)).

    Ranks start at 1; a ranking that lacks a document adds nothing. ``weights`` names a weight for
    some or all of the rankings; the others have 1.
    """

    k: float = 60.0
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.k) and self.k >= 0):
            raise InputError(f"the RRF constant k is {self.k}; allowed is 0 or more")
        _check_weights("RRF", self.weights)

    @property
    def looks_up(self) -> bool:
        """False: ranks are those of the rankings as they are."""
        return False

    def check_names(self, rankings: Sequence[str]) -> None:
        """See ``Fusion.check_names``."""
        _check_names("RRF weights", self.weights, rankings)

    def fuse(self, rankings: Rankings) -> list[tuple[int, float]]:
        """See ``Fusion.fuse``."""
        union = Union(rankings)
        return union.ranked(self.scores(union))

    def scores(self, union: Union) -> NDArray[np.float64]:
        """See ``Fusion.scores``."""
        scores = np.zeros(len(union.documents))
        for name, places, given in union.parts:
            ranks = np.arange(1, len(given) + 1)
            scores[places] += self.weights.get(name, 1.0) / (self.k + ranks)
        return scores

    def describe(self) -> dict[str, Any]:
        """See ``Fusion.describe``."""
        return {"rrf": {"k": self.k, "weights": dict(self.weights)}}


@dataclass(frozen=True, slots=True)
class LinearFusion:
    """Fox and Shaw's CombSUM (1994) with weights: score(d) = sum over rankings of w n(s(d)).

    ``weights`` as in ``ReciprocalRankFusion``. ``norm`` is n, one of ``NORMS`` for all rankings, or
    by the name of a ranking; one that isn't named there has min-max. A ranking that lacks a
    document adds for it w n(its lowest score) on ``missing="minimum"``, and nothing on "zero". On
    "exact" each document's true score is looked up in every ranking (exact interpolation: Lin and
    Ma 2021, Wang et al. 2021), and norms are over what is known then.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    norm: str | Mapping[str, str] = "min-max"
    missing: str = "minimum"

    def __post_init__(self) -> None:
        _check_weights("linear", self.weights)
        _check_norms(self.norm)
        if self.missing not in MISSING:
            raise InputError(f"missing is {self.missing!r}; allowed are {', '.join(MISSING)}")

    @property
    def looks_up(self) -> bool:
        """Whether true scores are wanted."""
        return self.missing == "exact"

    def check_names(self, rankings: Sequence[str]) -> None:
        """See ``Fusion.check_names``."""
        _check_names("linear weights", self.weights, rankings)
        _check_names("linear norms", _named_norms(self.norm), rankings)

    def fuse(self, rankings: Rankings) -> list[tuple[int, float]]:
        """See ``Fusion.fuse``."""
        union = Union(rankings)
        return union.ranked(self.scores(union))

    def scores(self, union: Union) -> NDArray[np.float64]:
        """See ``Fusion.scores``."""
        scores = np.zeros(len(union.documents))
        for name, places, given in union.parts:
            normed = NORMS[_norm_of(self.norm, name)](given)
            lowest = 0.0 if self.missing == "zero" else normed.min()
            part = np.full(len(scores), lowest)
            part[places] = normed
            scores += self.weights.get(name, 1.0) * part
        return scores

    def describe(self) -> dict[str, Any]:
        """See ``Fusion.describe``."""
        norm = self.norm if isinstance(self.norm, str) else dict(self.norm)
        weights = dict(self.weights)
        return {"linear": {"weights": weights, "norm": norm, "missing": self.missing}}


@dataclass(frozen=True, slots=True)
class CombMnz:
    """Fox and Shaw (1994): score(d) = number of rankings with d * sum over them of w n(s(d)).

    ``weights`` and ``norm`` as in ``LinearFusion``; Lee (1997) has min-max.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    norm: str | Mapping[str, str] = "min-max"

    def __post_init__(self) -> None:
        _check_weights("CombMNZ", self.weights)
        _check_norms(self.norm)

    @property
    def looks_up(self) -> bool:
        """False: what counts is which rankings found a document."""
        return False

    def check_names(self, rankings: Sequence[str]) -> None:
        """See ``Fusion.check_names``."""
        _check_names("CombMNZ weights", self.weights, rankings)
        _check_names("CombMNZ norms", _named_norms(self.norm), rankings)

    def fuse(self, rankings: Rankings) -> list[tuple[int, float]]:
        """See ``Fusion.fuse``."""
        union = Union(rankings)
        return union.ranked(self.scores(union))

    def scores(self, union: Union) -> NDArray[np.float64]:
        """See ``Fusion.scores``."""
        scores, found = np.zeros(len(union.documents)), np.zeros(len(union.documents))
        for name, places, given in union.parts:
            normed = NORMS[_norm_of(self.norm, name)](given)
            scores[places] += self.weights.get(name, 1.0) * normed
            found[places] += 1
        product: NDArray[np.float64] = found * scores
        return product

    def describe(self) -> dict[str, Any]:
        """See ``Fusion.describe``."""
        norm = self.norm if isinstance(self.norm, str) else dict(self.norm)
        return {"combmnz": {"weights": dict(self.weights), "norm": norm}}


class Union:
    """The documents of several rankings, ascending, and where those of each stand among them.

    ``parts`` has name, places int64 (n,) and scores float64 (n,) of each ranking that found any.
    """

    def __init__(self, rankings: Rankings) -> None:
        found = {}
        for name, ranking in rankings.items():
            if ranking:
                documents, scores = zip(*ranking, strict=True)
                found[name] = np.array(documents, np.int64), np.array(scores, np.float64)
        numbers = [documents for documents, _ in found.values()]
        self.documents: NDArray[np.int64] = np.unique(
            np.concatenate([np.empty(0, np.int64), *numbers])
        )
        self.parts = [
            (name, np.searchsorted(self.documents, documents), scores)
            for name, (documents, scores) in found.items()
        ]

    def ranked(self, scores: NDArray[np.float64]) -> list[tuple[int, float]]:
        """The documents with these scores, in the order of a ranking."""
        return self.best(scores, len(scores))

    def best(self, scores: NDArray[np.float64], k: int) -> list[tuple[int, float]]:
        """The first k of ``ranked``."""
        if 0 < k < len(scores):
            least = np.partition(scores, len(scores) - k)[len(scores) - k]
            among = np.flatnonzero(scores >= least)
            order = among[np.argsort(-scores[among], kind="stable")][:k]
        else:
            order = np.argsort(-scores, kind="stable")[:k]
        documents, ordered = self.documents[order].tolist(), scores[order].tolist()
        return list(zip(documents, ordered, strict=True))


def _named_norms(norm: str | Mapping[str, str]) -> Mapping[str, str]:
    """The norms that are named for single rankings."""
    return {} if isinstance(norm, str) else norm


def _norm_of(norm: str | Mapping[str, str], name: str) -> str:
    return norm if isinstance(norm, str) else norm.get(name, "min-max")


def _check_weights(kind: str, weights: Mapping[str, float]) -> None:
    for name, weight in weights.items():
        if not 0 <= weight <= LARGEST_WEIGHT:
            raise InputError(
                f"the {kind} weight of {name!r} is {weight}; allowed is 0 to {LARGEST_WEIGHT:,.0f}"
            )


def _check_norms(norm: str | Mapping[str, str]) -> None:
    for each in [norm] if isinstance(norm, str) else norm.values():
        if each not in NORMS:
            raise InputError(f"the norm is {each!r}; allowed are {', '.join(NORMS)}")


def _check_names(what: str, named: Mapping[str, object], rankings: Sequence[str]) -> None:
    unknown = [name for name in named if name not in rankings]
    if unknown:
        raise InputError(
            f"the {what} name {unknown[0]!r}, which is no ranking of this search; there are: "
            f"{', '.join(rankings)}"
        )
