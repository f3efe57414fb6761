"""The JSON of searches."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from index.filters.json_form import parse_filter_json
from index.search.config import Prefetch, SearchConfig
from index.search.fusion import ReciprocalRankFusion
from index.search.query import SearchQuery
from index.search.rewriters import rewriter_of
from service.api.schemas.body import Body, FilterBody

LONGEST_VECTOR = 100_000
MOST_CHARACTERS = 32 << 20
"""Of the documents of all hits of an answer."""


def _numbers(value: object) -> object:
    """The same, unless it is an object with a member that is no number: one reason is enough."""
    for name, member in value.items() if isinstance(value, dict) else ():
        if isinstance(member, list | dict | None):
            raise ValueError(f"the member {name!r} is no number")
        if isinstance(member, str):
            float(member)
    return value


Integers = Annotated[list[int], Field(max_length=LONGEST_VECTOR, fail_fast=True)]
Floats = Annotated[list[float], Field(max_length=LONGEST_VECTOR, fail_fast=True)]
Weights = Annotated[dict[str, float], BeforeValidator(_numbers), Field(max_length=LONGEST_VECTOR)]


class SparseVectorBody(Body):
    """A sparse vector: term ids and their weights."""

    indices: Integers
    values: Floats


class QueryBody(Body):
    """What is asked: text, or vectors in its place."""

    text: str | None = None
    tokens: Weights | None = None
    sparse: SparseVectorBody | None = None
    dense: Floats | None = None


class PrefetchBody(Body):
    """One ranking that enters the fusion."""

    using: str
    limit: int = 100


class RrfBody(Body):
    """Reciprocal rank fusion: score = sum of weight / (k + rank)."""

    k: float = 60
    weights: Weights = Field(default_factory=dict)


class FusionBody(Body):
    """How rankings become one."""

    rrf: RrfBody = Field(default_factory=RrfBody)


class ParamsBody(Body):
    """Exact or approximate; `effort` (above 0, at most 1) and `timeout_ms` go with approximate."""

    mode: Literal["exact", "approximate"] = "exact"
    effort: float | None = None
    timeout_ms: float | None = None


class SearchBody(Body):
    """A search."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"query": {"text": "how to copy a file"}, "limit": 3}]},
    )

    query: QueryBody
    limit: int = 10
    offset: int = 0
    using: str | None = None
    prefetch: Annotated[list[PrefetchBody], Field(max_length=16)] = Field(default_factory=list)
    fusion: FusionBody = Field(default_factory=FusionBody)
    filter: FilterBody | None = None
    rewrite: Annotated[
        list[str],
        Field(
            max_length=4,
            description="What rewrites the query's text first, in this order: `spelling`, and "
            "where the server has a chat endpoint `queries` or `passage` (HyDE, for a dense "
            "field). Settings follow, as in `queries,count=3`.",
            examples=[["spelling"]],
        ),
    ] = Field(default_factory=list)
    context_tokens: Annotated[
        int | None,
        Field(description="Hand the best passages to a generator, about so many tokens of them."),
    ] = None
    params: ParamsBody = Field(default_factory=ParamsBody)
    with_payload: bool = True
    highlight: bool = True
    explain: bool = False

    def to_query(self) -> SearchQuery:
        """The query as the pipeline takes it."""
        sparse = self.query.sparse
        return SearchQuery(
            text=self.query.text,
            tokens=self.query.tokens,
            sparse=(sparse.indices, sparse.values) if sparse else None,
            dense=self.query.dense,
        )

    def to_config(self) -> SearchConfig:
        """The rest as the pipeline takes it."""
        return SearchConfig(
            limit=self.limit,
            offset=self.offset,
            using=self.using,
            prefetch=tuple(Prefetch(part.using, part.limit) for part in self.prefetch),
            fusion=ReciprocalRankFusion(self.fusion.rrf.k, self.fusion.rrf.weights),
            payload=self.with_payload,
            most_characters=MOST_CHARACTERS,
            highlight=self.highlight,
            explain=self.explain,
            filter=None if self.filter is None else parse_filter_json(self.filter),
            rewrite=tuple(map(rewriter_of, self.rewrite)),
            context_tokens=self.context_tokens,
            mode=self.params.mode,
            effort=self.params.effort,
            time_budget_ms=self.params.timeout_ms,
        )
