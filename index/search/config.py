"""What may be asked of a search, beside the query itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from index.engines.effort import DEFAULT_EFFORT, pruning_of
from index.engines.searcher import EXACT, Pruning
from index.filters.tree import Filter
from index.search.dimension_settings import Dimensions
from index.search.facets import MATCHING, MOST_FACETS, Facet
from index.search.feedback import Feedback
from index.search.fusion import Fusion
from index.search.grouping import Grouping
from index.search.reranking import Reranking
from index.search.rewriting import Rewriter
from index.search.sorting import SortKey, check_sort
from lsr.errors import InputError

HYBRID = "hybrid"
LARGEST_LIMIT = 10_000
LONGEST_TIME_BUDGET_MS = 600_000
LARGEST_DENSE_WEIGHT = 1e6
FUSION_DEPTH = 1000
LONGEST_CURSOR = 4 << 20
LARGEST_CONTEXT = 1_000_000


@dataclass(frozen=True, slots=True)
class Prefetch:
    """One ranking that enters the fusion: the field searched and how deep.

    With ``feedback`` the field is ranked again.
    """

    using: str
    limit: int
    feedback: Feedback | None = None


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
    # The rankings to fuse, in place of `using`, which makes each go as deep as `fusion_depth`.
    prefetch: tuple[Prefetch, ...] = ()
    # How several rankings become one; None: as `default_fusion` has it for their fields.
    fusion: Fusion | None = None
    # How many results of each field are fused, whatever page is asked for, so that all pages are of
    # one ranking; None: FUSION_DEPTH.
    fusion_depth: int | None = None
    # Goes on behind the page whose answer gave it, as `Cursor` says; in place of an offset.
    cursor: str | None = None
    # What searches sparse fields.
    engine: str = "native"
    # Whether hits come with their documents, or with what parts of these: "title", "text",
    # "metadata", or keys of the metadata.
    payload: bool | tuple[str, ...] = True
    # Of these together, characters; a search whose hits have more is refused. None: any number.
    most_characters: int | None = None
    # Whether words are marked in these.
    highlight: bool = True
    # Whether the terms are listed that carried a score, and those of the query.
    explain: bool = False
    # Which documents are searched; None: all.
    filter: Filter | None = None
    # Least score of a hit, of its last ranking; None: any.
    min_score: float | None = None
    # In what order hits come; empty: by score. All that match are sorted, and not only the best.
    sort: tuple[SortKey, ...] = ()
    # The best hits of each value of a metadata key; ``limit`` and ``offset`` are in groups then.
    group_by: Grouping | None = None
    # Keys of which values are counted.
    facets: tuple[Facet, ...] = ()
    # Whether all that match are counted, where that takes more than ranking does.
    exact_total: bool = False
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
    # Whether what `lsr tune` found for these fields stands for what of `fusion`, `feedback`,
    # `dense_weight` and `effort` isn't said.
    tuned: bool = True
    # Which cells of the query's phrases join the ranking; None: none.
    dimensions: Dimensions | None = None
    # What the second of the two models of a dense field counts, above 0; None: the field's own.
    dense_weight: float | None = None
    # Ranks one field again with a query that the best documents of the first round have moved.
    feedback: Feedback | None = None
    # Scores the best of the one ranking anew, by a cross-encoder, a second encoder or a field.
    rerank: Reranking | None = None
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
        if self.dense_weight is not None and not 0 < self.dense_weight <= LARGEST_DENSE_WEIGHT:
            raise InputError(
                f"the dense weight is {self.dense_weight}; allowed is above 0, and at most "
                f"{LARGEST_DENSE_WEIGHT:,.0f}"
            )
        if self.fusion_depth is not None and not 1 <= self.fusion_depth <= 2 * LARGEST_LIMIT:
            raise InputError(
                f"the depth of the fusion is {self.fusion_depth}; allowed is 1 to "
                f"{2 * LARGEST_LIMIT}"
            )
        if self.prefetch and self.fusion_depth is not None:
            raise InputError(
                "a depth of the fusion was given beside a prefetch, in which each ranking has a "
                "limit of its own; give one of the two"
            )
        if self.cursor is not None:
            self._check_cursor(self.cursor)
        self._check_mode()
        self._check_arrangement()
        if self.context_tokens is not None:
            check_context_tokens(self.context_tokens)
            if not self.payload:
                raise InputError(
                    "a context is made of the documents of the hits; ask for them, or for none"
                )

    def _check_cursor(self, cursor: str) -> None:
        if self.offset:
            raise InputError(
                f"an offset of {self.offset} was given beside a cursor, which says where the page "
                "begins; leave the offset out"
            )
        if len(cursor) > LONGEST_CURSOR:
            raise InputError(
                f"the cursor has {len(cursor):,} characters; allowed are {LONGEST_CURSOR:,}"
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

    def _check_arrangement(self) -> None:
        check_sort(self.sort)
        if self.min_score is not None and not math.isfinite(self.min_score):
            raise InputError(f"the least score is {self.min_score}; give a finite number")
        if not isinstance(self.payload, bool | tuple):
            raise InputError(
                f"the payload is {self.payload!r}; give True, False, or names of parts in a tuple"
            )
        if len(self.facets) > MOST_FACETS:
            raise InputError(f"there are {len(self.facets)} facets; allowed are {MOST_FACETS}")
        if self.group_by is not None and self.limit * self.group_by.hits > LARGEST_LIMIT:
            raise InputError(
                f"{self.limit} groups of {self.group_by.hits} hits are more than {LARGEST_LIMIT}; "
                "ask for fewer"
            )

    @property
    def ranks_all(self) -> bool:
        """Whether every document that matches is needed, not only the best."""
        counted = any(facet.over == MATCHING for facet in self.facets)
        return bool(self.sort or self.group_by or self.exact_total or counted)

    def pruning(self, milliseconds: float | None) -> Pruning:
        """What one ranking of a sparse field may leave out, with the time that it has a query.

        None: any time. It matters in approximate search only.
        """
        if self.mode == "exact":
            return EXACT
        effort = self.effort or (DEFAULT_EFFORT if self.time_budget_ms is None else 1.0)
        return pruning_of(effort, milliseconds)

    @property
    def ranked(self) -> int:
        """Results that a ranking must have which isn't fused."""
        return max(self.depth, self.rerank.depth if self.rerank else 0)

    @property
    def depth(self) -> int:
        """Results wanted before the offset is cut."""
        return self.offset + self.limit


def check_context_tokens(tokens: int) -> None:
    """Raise InputError unless a context may have so many tokens."""
    if not 1 <= tokens <= LARGEST_CONTEXT:
        raise InputError(f"context_tokens is {tokens}; allowed is 1 to {LARGEST_CONTEXT}")
