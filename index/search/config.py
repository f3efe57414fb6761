"""What may be asked of a search, beside the query itself."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from index.engines.effort import DEFAULT_EFFORT, pruning_of
from index.engines.searcher import EXACT, Pruning
from index.filters.tree import Filter
from index.search.fusion import ReciprocalRankFusion
from index.search.rewriting import Rewriter
from lsr.errors import InputError

HYBRID = "hybrid"
LARGEST_LIMIT = 10_000
LONGEST_TIME_BUDGET_MS = 600_000
LARGEST_CONTEXT = 1_000_000


@dataclass(frozen=True, slots=True)
class Prefetch:
    """One ranking that enters the fusion: the field searched and how deep."""

    using: str
    limit: int


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """How to search."""

    # Hits wanted.
    limit: int = 10
    # Hits to leave out at the top.
    offset: int = 0
    # A field, fields to fuse as in sparse+bm25, or hybrid, which is sparse+dense; None: hybrid
    # where the collection has a dense field, else the sparse field.
    using: str | None = None
    # The rankings to fuse, in place of `using`, which makes each go as deep as the larger of 100
    # and offset + limit.
    prefetch: tuple[Prefetch, ...] = ()
    # How several rankings become one.
    fusion: ReciprocalRankFusion = dataclasses.field(default_factory=ReciprocalRankFusion)
    # What searches sparse fields.
    engine: str = "native"
    # Whether hits come with their documents.
    payload: bool = True
    # Of these together, characters; a search whose hits have more is refused. None: any number.
    most_characters: int | None = None
    # Whether words are marked in these.
    highlight: bool = True
    # Whether the terms are listed that carried a score, and those of the query.
    explain: bool = False
    # Which documents are searched; None: all.
    filter: Filter | None = None
    # In "approximate" the engines of sparse fields may leave out what is unlikely to matter. Dense
    # fields are always searched exactly.
    mode: Literal["exact", "approximate"] = "exact"
    # Of approximate search: above 0 and at most 1, which is exact; None: 0.5, with a budget 1.
    effort: float | None = None
    # Of approximate search: milliseconds for a query, from its encoding to the last mark in a hit.
    # What engines have not reached by then is left out, and so are marks and terms; None: any time.
    time_budget_ms: float | None = None
    # Encodes the text of queries to the field `sparse` in place of the field's own encoder, such as
    # an inference-free one over the same vocabulary; None: the field's own.
    query_encoder: str | None = None
    # What rewrites the text of queries before it is encoded, in this order.
    rewrite: tuple[Rewriter, ...] = ()
    # Of the passages that are handed to a generator, tokens together; None: there are none.
    context_tokens: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= LARGEST_LIMIT:
            raise InputError(f"limit is {self.limit}; allowed is 1 to {LARGEST_LIMIT}")
        if not 0 <= self.offset <= LARGEST_LIMIT:
            raise InputError(f"offset is {self.offset}; allowed is 0 to {LARGEST_LIMIT}")
        for part in self.prefetch:
            if not 1 <= part.limit <= 2 * LARGEST_LIMIT:
                raise InputError(
                    f"a prefetch limit is {part.limit}; allowed is 1 to {2 * LARGEST_LIMIT}"
                )
        self._check_mode()
        if self.context_tokens is not None:
            check_context_tokens(self.context_tokens)
            if not self.payload:
                raise InputError(
                    "a context is made of the documents of the hits; ask for them, or for none"
                )

    def _check_mode(self) -> None:
        if self.mode not in ("exact", "approximate"):
            raise InputError(f"the mode is {self.mode!r}; allowed are exact and approximate")
        if self.effort is not None and not 0 < self.effort <= 1:
            raise InputError(f"the effort is {self.effort}; allowed is above 0, and at most 1")
        budget = self.time_budget_ms
        if budget is not None and not 0 < budget <= LONGEST_TIME_BUDGET_MS:
            raise InputError(
                f"the time budget is {budget} ms; allowed is above 0, and at most "
                f"{LONGEST_TIME_BUDGET_MS}"
            )
        if self.mode == "exact" and (self.effort is not None or budget is not None):
            raise InputError(
                "an effort or a time budget was given for exact search, which knows neither; "
                "ask for the mode approximate, or leave them out"
            )

    def pruning(self, milliseconds: float | None) -> Pruning:
        """What one ranking of a sparse field may leave out, with the time that it has a query.

        None: any time. It matters in approximate search only.
        """
        if self.mode == "exact":
            return EXACT
        effort = self.effort or (DEFAULT_EFFORT if self.time_budget_ms is None else 1.0)
        return pruning_of(effort, milliseconds)

    @property
    def depth(self) -> int:
        """Results wanted before the offset is cut."""
        return self.offset + self.limit


def check_context_tokens(tokens: int) -> None:
    """Raise InputError unless a context may have so many tokens."""
    if not 1 <= tokens <= LARGEST_CONTEXT:
        raise InputError(f"context_tokens is {tokens}; allowed is 1 to {LARGEST_CONTEXT}")
