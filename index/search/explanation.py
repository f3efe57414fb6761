"""Why one document stands where it does in the answer to a query."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from index.collection.view import Searchable
from index.search.config import LARGEST_LIMIT, SearchConfig
from index.search.deadline import Deadline
from index.search.hits import Hit
from index.search.like import rows_of
from index.search.matches import Total
from index.search.pipeline import search_view
from index.search.query import SearchQuery
from lsr.errors import InputError

DEPTH = 1000


@dataclass(frozen=True)
class Explanation:
    """The place of a document in the ranking of a search, and what carried it there.

    ``rank`` is its place from 1 on, None where it isn't among the first ``depth``; ``ranks`` the
    places by field, among those. ``hit`` has its score, and by field scores and terms; None where
    it doesn't match at all. ``missing`` has by field the terms of the query that it lacks, heaviest
    first, and ``query_terms`` all of them. ``total`` says how many documents match.
    """

    id: str
    rank: int | None
    ranks: dict[str, int]
    depth: int
    hit: Hit | None
    query_terms: dict[str, list[tuple[str, float]]]
    missing: dict[str, list[tuple[str, float]]]
    passes_filter: bool
    using: str
    total: Total
    exact: bool
    took_ms: float

    @property
    def sentence(self) -> str:
        """The same in words."""
        if not self.passes_filter:
            return "the document does not pass the filter"
        if self.hit is None:
            return "the document matches nothing of the query"
        reasons = []
        for name, terms in self.hit.terms.items():
            carried = ", ".join(term.token for term in terms[:3])
            lacking = ", ".join(token for token, _ in self.missing.get(name, [])[:3])
            reasons.append(
                f"{name}: {carried or 'no term'}" + (f", without {lacking}" if lacking else "")
            )
        place = f"not among the first {self.depth}" if self.rank is None else f"number {self.rank}"
        bound = "at least " if self.total.relation == "gte" else ""
        return f"the document is {place} of {bound}{self.total.value}; {'; '.join(reasons)}".rstrip(
            "; "
        )


def explain_document(
    collection: Searchable,
    query: SearchQuery,
    identifier: str,
    config: SearchConfig | None = None,
    depth: int = DEPTH,
    deadline: Deadline | None = None,
) -> Explanation:
    """Where a document stands in the answer to a query, and why.

    Args:
        collection: what is searched.
        query: what is asked.
        identifier: of the document.
        config: how is searched; its limit, offset and what hits come with don't matter. The terms
            of a document beyond ``depth`` are those of the query without any feedback.
        depth: how far the ranking is looked through.
        deadline: when to end.

    Raises:
        InputError: the depth is not allowed, or as of ``search``.
        NotFoundError: there is no such document.
        UsageError: as of ``search``.
    """
    if not 1 <= depth <= LARGEST_LIMIT:
        raise InputError(f"the depth is {depth}; allowed is 1 to {LARGEST_LIMIT}")
    started, deadline = time.perf_counter(), deadline or Deadline()
    bare = replace(
        config or SearchConfig(),
        limit=depth,
        offset=0,
        payload=False,
        highlight=False,
        explain=False,
    )
    with collection.pinned() as view:
        rows = rows_of(view, [identifier])
        passes = bare.filter is None or view.passes(bare.filter, rows)
        found = search_view(view, [query], bare, deadline, started)[0]
        places = {hit.id: place for place, hit in enumerate(found.hits, 1)}
        rank = places.get(identifier)
        shown = None
        if rank is not None:
            there = replace(bare, limit=1, offset=rank - 1, explain=True)
            shown = search_view(view, [query], there, deadline, started)[0]
        # An approximate search of another depth may find another document at that place.
        if shown is None or [hit.id for hit in shown.hits] != [identifier]:
            shown = search_view(view, [query], _alone(bare), deadline, started, rows)[0]
    hit = shown.hits[0] if shown.hits else None
    if hit is not None and rank is not None:
        hit = replace(hit, score=found.hits[rank - 1].score)
    carried = {} if hit is None else hit.terms
    return Explanation(
        id=identifier,
        rank=rank,
        ranks={} if rank is None else _ranks(found.hits, found.hits[rank - 1]),
        depth=depth,
        hit=hit,
        query_terms=shown.query_terms,
        missing={
            name: [
                (token, weight)
                for token, weight in terms
                if all(token != term.token for term in carried.get(name, ()))
            ]
            for name, terms in shown.query_terms.items()
        },
        passes_filter=passes,
        using=found.using,
        total=found.total,
        exact=found.exact,
        took_ms=1000 * (time.perf_counter() - started),
    )


def _alone(config: SearchConfig) -> SearchConfig:
    """A search of one document, which any filter and bound lets pass."""
    prefetch = tuple(replace(part, feedback=None) for part in config.prefetch)
    return replace(
        config, limit=1, explain=True, filter=None, min_score=None, feedback=None,
        prefetch=prefetch, rerank=None,
    )  # fmt: skip


def _ranks(hits: list[Hit], own: Hit) -> dict[str, int]:
    """The place of a hit by each of its scores."""
    return {
        name: 1 + sum(hit.scores.get(name, -np.inf) > score for hit in hits)
        for name, score in own.scores.items()
    }
