"""The JSON of what arranges and counts hits: sort keys, groups, facets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from index.search.facets import MOST_FACETS, Facet
from index.search.grouping import Grouping
from index.search.sorting import MOST_KEYS, SCORE, SortKey
from service.api.schemas.body import Body

MOST_PARTS = 1000
"""Of documents, that hits come with."""


class SortBody(Body):
    """A key to sort by, and the direction; scores descend by default, and values ascend."""

    key: str
    order: Literal["asc", "desc"] | None = None


class GroupingBody(Body):
    """A key whose values are groups, and how many hits of each."""

    key: str
    hits: int = 1


class FacetBody(Body):
    """A key to count the values of, over all that passes the filter, or matches the query too."""

    key: str
    limit: int = 10
    over: Literal["filtered", "matching"] = "filtered"


SortKeys = Annotated[
    list[SortBody | str],
    Field(
        max_length=MOST_KEYS,
        description="Metadata keys, or `_score`, as in `year:desc`; all that match are sorted.",
    ),
]
Facets = Annotated[list[FacetBody | str], Field(max_length=MOST_FACETS)]


def sort_key(given: SortBody | str) -> SortKey:
    """The key as the pipeline takes it."""
    if isinstance(given, str):
        return SortKey.parse(given)
    return SortKey(given.key, (given.order or ("desc" if given.key == SCORE else "asc")) == "desc")


def grouping(given: GroupingBody | str | None) -> Grouping | None:
    """The groups as the pipeline takes them."""
    if isinstance(given, GroupingBody):
        return Grouping(given.key, given.hits)
    return None if given is None else Grouping(given)


def facet(given: FacetBody | str) -> Facet:
    """The facet as the pipeline takes it."""
    return Facet(given) if isinstance(given, str) else Facet(given.key, given.limit, given.over)
