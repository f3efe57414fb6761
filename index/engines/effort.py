"""Effort: the one number by which a user trades certainty for speed, and what engines make of it.

An effort of 1 is exact. With less, blocks of documents are skipped whose bound is only a little
above the score to beat: an effort towards 0 skips those that don't reach it at 0.85 of their
bound, in a straight line between. ``lsr bench recall`` measures what an effort costs and gives in
a collection.
"""

from __future__ import annotations

from dataclasses import replace

from index.engines.searcher import Pruning

DEFAULT_EFFORT = 0.5
LOWEST_FACTOR = 0.85


def pruning_of(effort: float, time_budget_ms: float | None) -> Pruning:
    """What an effort (above 0, at most 1: leave nothing out) lets an engine leave out.

    ``time_budget_ms`` is for one query in all segments.
    """
    return Pruning(
        factor=LOWEST_FACTOR + (1 - LOWEST_FACTOR) * effort,
        budget_us=0 if time_budget_ms is None else max(1, round(1000 * time_budget_ms)),
    )


def for_part(pruning: Pruning, documents: int, of: int) -> Pruning:
    """The pruning of a part of the documents, which gets its share of the time."""
    if pruning.budget_us == 0 or documents == of:
        return pruning
    return replace(pruning, budget_us=max(1, pruning.budget_us * documents // of))
