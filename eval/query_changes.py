"""The queries on which two systems differ most, with both rankings, and what carried them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.compared import Judgements, System
from eval.significance import SAME
from lsr.errors import NotFoundError

# Documents of a query that are explained.
EXPLAINED = 2


@dataclass(frozen=True, slots=True)
class RankedHit:
    """A document of a ranking; ``grade`` is None where it is not judged."""

    rank: int
    id: str
    score: float
    grade: int | None

    @property
    def is_relevant(self) -> bool:
        """Whether it is judged to be."""
        return self.grade is not None and self.grade > 0


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a system ranks a document where it does, None where it isn't among the first.

    ``terms`` has by field the terms that carried its score with what each gave, heaviest first;
    ``sentence`` the same in words, with what of the query it lacks.
    """

    system: str
    document: str
    rank: int | None
    terms: Mapping[str, Sequence[tuple[str, float]]]
    sentence: str


@dataclass(frozen=True, slots=True)
class QueryChange:
    """A query, the measure of it by two systems, and what both found first."""

    query: str
    text: str
    first: float
    second: float
    first_hits: tuple[RankedHit, ...]
    second_hits: tuple[RankedHit, ...]
    reasons: tuple[Reason, ...]

    @property
    def difference(self) -> float:
        """Second minus first: what the query gained."""
        return self.second - self.first

    def to_json(self) -> dict[str, Any]:
        """All of it, what is relevant marked."""
        return {
            "query": self.query,
            "text": self.text,
            "first": self.first,
            "second": self.second,
            "difference": self.difference,
            "first_hits": [_hit(hit) for hit in self.first_hits],
            "second_hits": [_hit(hit) for hit in self.second_hits],
            "reasons": [
                {
                    "system": reason.system,
                    "document": reason.document,
                    "rank": reason.rank,
                    "terms": {name: [list(each) for each in terms]
                              for name, terms in reason.terms.items()},
                    "sentence": reason.sentence,
                }
                for reason in self.reasons
            ],
        }  # fmt: skip


def _hit(hit: RankedHit) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "id": hit.id,
        "score": hit.score,
        "grade": hit.grade,
        "relevant": hit.is_relevant,
    }


def changed_queries(
    first: System, second: System, judged: Judgements | None, count: int, top: int
) -> list[QueryChange]:
    """The queries whose measure differs most, either way, the most different first.

    Args:
        first: a system.
        second: another on the same queries.
        judged: texts and judgements, if they are at hand.
        count: how many queries at most; those without a difference are left out.
        top: how many hits of each ranking.
    """
    differing = [
        query
        for query, score in first.scores.items()
        if abs(second.scores.get(query, 0.0) - score) > SAME
    ]
    differing.sort(key=lambda query: (-abs(second.scores[query] - first.scores[query]), query))
    return [_changed(first, second, judged, query, top) for query in differing[:count]]


def _changed(
    first: System, second: System, judged: Judgements | None, query: str, top: int
) -> QueryChange:
    grades = judged.qrels.get(query, {}) if judged else {}
    text = judged.texts.get(query, "") if judged else ""
    hits = [
        tuple(
            RankedHit(rank, document, score, grades.get(document))
            for rank, (document, score) in enumerate(system.run.get(query, ())[:top], start=1)
        )
        for system in (first, second)
    ]
    reasons: list[Reason] = []
    if text.strip():
        for document in _most_moved(first, second, query, hits[0] + hits[1]):
            reasons += (_reason(system, text, document) for system in (first, second))
    return QueryChange(
        query, text, first.scores[query], second.scores[query], hits[0], hits[1],
        tuple(reason for reason in reasons if reason.sentence),
    )  # fmt: skip


def _most_moved(first: System, second: System, query: str, hits: Sequence[RankedHit]) -> list[str]:
    """Of the hits, relevant ones before others, those whose ranks differ most."""
    ranks = [
        {document: rank for rank, (document, _) in enumerate(system.run.get(query, ()), start=1)}
        for system in (first, second)
    ]
    last = 1 + max(len(each) for each in ranks)
    moved: dict[str, tuple[bool, int]] = {}
    for hit in hits:
        distance = abs(ranks[0].get(hit.id, last) - ranks[1].get(hit.id, last))
        if distance:
            moved[hit.id] = (not hit.is_relevant, -distance)
    return sorted(moved, key=lambda document: (moved[document], document))[:EXPLAINED]


def _reason(system: System, text: str, document: str) -> Reason:
    """Without a sentence where nothing is at hand that could say why."""
    if system.explain is None:
        return Reason(system.name, document, None, {}, "")
    try:
        found = system.explain(text, document)
    except NotFoundError as error:
        return Reason(system.name, document, None, {}, str(error))
    terms = {
        name: [(term.token, term.contribution) for term in carried]
        for name, carried in (found.hit.terms if found.hit else {}).items()
    }
    return Reason(system.name, document, found.rank, terms, found.sentence)
