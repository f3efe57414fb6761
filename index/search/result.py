"""What one query found, and how."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from index.search.context import Context
from index.search.cursor import Page
from index.search.explain import QueryWord
from index.search.facets import FacetCounts
from index.search.hits import Hit
from index.search.matches import UNCOUNTED, Total
from index.search.reranking import Reranked
from index.search.rewriting import Rewritten


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What one query found, and how."""

    # Best first.
    hits: list[Hit]
    # Wall time of the whole call, encoding included.
    took_ms: float
    # What was searched, as in SearchConfig.
    using: str
    # Of the newest segment file; 0: there is none.
    generation: int
    # Searched, those newer than the segments included; with a filter, those that pass it.
    documents: int
    # Fingerprint of the encoder of each field that was searched.
    encoder: dict[str, str]
    # Fingerprint of what encoded the queries to a field, where it is another.
    query_encoder: dict[str, str]
    # Certifies that exact search would have given these very hits. In a fusion it says so of every
    # ranking that was fused, down to its whole depth, since any result could move any hit.
    exact: bool
    # How far a document that was left out could score above the last result of its ranking; in a
    # fusion the largest, each in the scores of its own field. Where it is 0 and `exact` is false,
    # only a tie with that result can be missing.
    bound_gap: float
    # How each field was searched; `plan` in JSON.
    strategies: dict[str, str]
    # Token and weight of each term of the query, by sparse field, heaviest first; on `explain`.
    query_terms: dict[str, list[tuple[str, float]]] = dataclasses.field(default_factory=dict)
    # The words of its text by sparse field, and what terms they have there; on `explain`.
    query_words: dict[str, list[QueryWord]] = dataclasses.field(default_factory=dict)
    # Tokens of the query that no imported vector has, so that they add nothing.
    unknown_tokens: list[str] = dataclasses.field(default_factory=list)
    # Whether the deadline passed before all was done: marks or terms of some hits may be missing,
    # and what ranking left out is told by `exact`.
    timed_out: bool = False
    # Words of the query that no document has in a searched field, as the query spells them; with
    # payloads only.
    unknown_words: list[str] = dataclasses.field(default_factory=list)
    # Wall time of each stage, as in StageTimes; of a batch, those of all its queries.
    stages_ms: dict[str, float] = dataclasses.field(default_factory=dict)
    # Ids of the documents that fed back into the query to a field, best first, by field.
    feedback: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    # What was searched in place of the query, where rewriting was asked for.
    rewritten: Rewritten | None = None
    # The best passages for a generator, where they were asked for.
    context: Context | None = None
    # How many documents match, the hits of other pages included; see Matches.
    total: Total = UNCOUNTED
    # In the order in which they were asked for.
    facets: list[FacetCounts] = dataclasses.field(default_factory=list)
    # What is odd about the metadata keys that the search names.
    warnings: list[str] = dataclasses.field(default_factory=list)
    # What re-ranking did, where it was asked for.
    reranked: Reranked | None = None
    # How several rankings became one, as JSON asks for it; None: there is one.
    fusion: dict[str, Any] | None = None
    # Of each field, how many results were ranked, where they were fused: the hits of all pages are
    # among these.
    depth: dict[str, int] = dataclasses.field(default_factory=dict)
    # The page of these hits where another may follow.
    page: Page | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def cursor(self) -> str | None:
        """What ``SearchConfig.cursor`` takes for the next page; None: this was the last."""
        return None if self.page is None else self.page.next()
