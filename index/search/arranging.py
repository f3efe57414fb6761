"""From what matches to a page of hits: cut by score, counted, sorted, grouped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from index.collection.view import Passing, Searchable, View
from index.search.config import SearchConfig
from index.search.cursor import Cursor
from index.search.facets import (
    FILTERED,
    MATCHING,
    Facet,
    FacetCounts,
    count_facet,
)
from index.search.grouping import Grouping, GroupValue, group_documents
from index.search.key_warnings import absent_warnings, filter_warnings, key_warnings
from index.search.matches import Matches, Total
from index.search.payload import PARTS
from index.search.sorting import SCORE, SortKey, sort_documents
from index.search.stage_times import StageTimes
from lsr.errors import InputError


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A page of what matches."""

    # Documents by number, with their scores, in order.
    page: list[tuple[int, float]]
    total: Total
    facets: list[FacetCounts]
    # The documents of the page, and those before it.
    reached: list[int]
    # Of each of the page, where groups were asked for.
    groups: list[GroupValue] = field(default_factory=list)


def arrange(
    view: View,
    config: SearchConfig,
    matches: Matches,
    filtered: Sequence[FacetCounts],
    times: StageTimes,
    cursor: Cursor | None = None,
) -> Arrangement:
    """The page that is asked for.

    Args:
        view: what was searched; it is pinned.
        config: what is asked for.
        matches: what was found, of no less than the least score.
        filtered: what ``count_filtered`` counted.
        times: takes those of the stages that are needed.
        cursor: what it has served is left out of the page; None: nothing was.

    Raises:
        CorruptionError: the values of a key are damaged.
    """
    facets = _count_matching(view, config, matches, filtered, times)
    total = Total(len(matches.numbers), "eq" if matches.complete else "gte")
    if cursor is not None:
        matches = matches.among(cursor.unserved(view, matches.numbers))
    numbers, scores = matches.numbers, matches.scores
    if config.sort:
        with times.stage("sort"):
            depth = len(numbers) if config.group_by else config.depth
            order = sort_documents(view, config.sort, numbers, scores, depth)
            numbers, scores = numbers[order], scores[order]
    groups: list[GroupValue] = []
    if config.group_by is None:
        wanted = np.arange(config.offset, min(config.depth, len(numbers)))
    else:
        with times.stage("group"):
            found = group_documents(view, config.group_by, numbers, config.offset, config.limit)
        wanted = np.array([place for group in found for place in group.members], dtype=np.int64)
        groups = [group.value for group in found for _ in group.members]
    page = list(zip(numbers[wanted].tolist(), scores[wanted].tolist(), strict=True))
    return Arrangement(page, total, facets, numbers[: config.depth].tolist(), groups)


def spelled_out(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of ``SearchConfig`` in which sort keys, groups and facets may be texts.

    Raises:
        InputError: a text is malformed.
    """
    spelled = dict(settings)
    for name, of_text in (("sort", SortKey.parse), ("facets", Facet), ("payload", str)):
        given = spelled.get(name)
        if isinstance(given, str | list | tuple):
            each = [given] if isinstance(given, str) else given
            spelled[name] = tuple(of_text(e) if isinstance(e, str) else e for e in each)
    if isinstance(spelled.get("group_by"), str):
        spelled["group_by"] = Grouping(spelled["group_by"])
    return spelled


def count_filtered(
    view: View, config: SearchConfig, masks: Passing | None, times: StageTimes
) -> list[FacetCounts]:
    """The facets over all that passes the filter, which are the same for every query."""
    facets = [facet for facet in config.facets if facet.over == FILTERED]
    if not facets:
        return []
    with times.stage("facets"):
        chosen = view.chosen(masks)
        return [count_facet(view, facet, chosen) for facet in facets]


def _count_matching(
    view: View,
    config: SearchConfig,
    matches: Matches,
    filtered: Sequence[FacetCounts],
    times: StageTimes,
) -> list[FacetCounts]:
    """All facets, in the order in which they were asked for."""
    if len(filtered) == len(config.facets):
        return list(filtered)
    others = iter(filtered)
    with times.stage("facets"):
        chosen = view.among(matches.numbers)
        return [
            next(others)
            if facet.over == FILTERED
            else count_facet(view, facet, chosen, matches.complete)
            for facet in config.facets
        ]


def count_in_collection(
    collection: Searchable, config: SearchConfig
) -> tuple[list[FacetCounts], list[str]]:
    """The facets over all documents that pass the filter, and what ``config_warnings`` has to say.

    Raises:
        InputError: a facet is to be over what matches, and there is no query.
        CorruptionError: the values of a key are damaged.
    """
    if any(facet.over == MATCHING for facet in config.facets):
        raise InputError("a facet is to count what matches, and there is no query; give a query")
    with collection.pinned() as view:
        masks = None if config.filter is None else view.masks(config.filter)
        return count_filtered(view, config, masks, StageTimes()), config_warnings(view, config)


def config_warnings(view: View, config: SearchConfig) -> list[str]:
    """A sentence for each metadata key that is named in vain, be it by its values."""
    warnings = filter_warnings(view, config.filter) if config.filter else []
    named = [("a facet names the key", facet.key) for facet in config.facets]
    named += [("the sort names the key", each.key) for each in config.sort if each.key != SCORE]
    if config.group_by is not None:
        named.append(("the grouping names the key", config.group_by.key))
    warnings += key_warnings(view, named)
    if isinstance(config.payload, tuple):
        keys = [each for each in config.payload if each not in PARTS]
        warnings += absent_warnings(view, "the payload names the key", keys)
    return warnings
