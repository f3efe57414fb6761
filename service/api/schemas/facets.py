"""The JSON of facets, counted by themselves or beside hits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from index.search.config import SearchConfig
from index.search.facets import MOST_FACETS, FacetCounts
from index.search.query import SearchQuery
from service.api.schemas.arranging import FacetBody, facet
from service.api.schemas.body import Body, FilterBody, parse_filter
from service.api.schemas.responses import Milliseconds
from service.api.schemas.search_request import QueryBody


class FacetsBody(Body):
    """What to count; a query goes with facets over what matches."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"facets": ["lang"], "filter": "year >= 2000"}]},
    )

    facets: Annotated[list[FacetBody | str], Field(min_length=1, max_length=MOST_FACETS)]
    filter: FilterBody | None = None
    query: QueryBody | None = None
    using: str | None = None
    min_score: float | None = None

    def to_query(self) -> SearchQuery | None:
        """The query as the pipeline takes it, where there is one."""
        return None if self.query is None else self.query.to_query()

    def to_config(self) -> SearchConfig:
        """The rest as the pipeline takes it."""
        return SearchConfig(
            limit=1,
            using=self.using,
            filter=None if self.filter is None else parse_filter(self.filter),
            facets=tuple(map(facet, self.facets)),
            min_score=self.min_score,
            payload=False,
            highlight=False,
        )


class FacetValue(TypedDict):
    """A value, and how many documents have it."""

    value: str | float | bool
    count: int


class FacetAnswer(TypedDict):
    """The values of a key, the most frequent first."""

    key: str
    over: Annotated[
        Literal["filtered", "matching"],
        Field(description="Whether all that passes the filter is counted, or what matches too."),
    ]
    exact: Annotated[bool, Field(description="Whether all of these documents were counted.")]
    documents: Annotated[int, Field(description="How many were counted.")]
    having: Annotated[int, Field(description="How many of them have a value.")]
    distinct: Annotated[int, Field(description="How many values there are.")]
    values: list[FacetValue]


class FacetsAnswer(TypedDict):
    """Facets, in the order asked for."""

    took_ms: Milliseconds
    facets: list[FacetAnswer]
    warnings: Annotated[
        NotRequired[list[str]],
        Field(description="What is odd about the request, such as a key that no document has."),
    ]


def facets_json(facets: Sequence[FacetCounts], warnings: list[str], took_ms: float) -> FacetsAnswer:
    """Facets by themselves, as JSON."""
    body: FacetsAnswer = {
        "took_ms": round(took_ms, 3),
        "facets": [facet_json(each) for each in facets],
    }
    if warnings:
        body["warnings"] = warnings
    return body


def facet_json(facet: FacetCounts) -> FacetAnswer:
    """One facet as JSON."""
    return {
        "key": facet.key,
        "over": facet.over,
        "exact": facet.exact,
        "documents": facet.documents,
        "having": facet.having,
        "distinct": facet.distinct,
        "values": [{"value": value, "count": count} for value, count in facet.values],
    }
