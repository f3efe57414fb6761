"""Effort: the one number by which a user trades speed for certainty, and what engines make of it.

| effort | blocks skipped at this share of their bound | query terms kept, by share of the weight |
|---|---|---|
| 1.0 | none that could matter | all |
| 0.5 | 0.80 | 0.85 |
| towards 0 | 0.60 | 0.70 |

Between these both shares go in straight lines. Query terms are cut only where the encoder adds
terms to a query: one that holds the user's own words and nothing else (BM25, inference-free) loses
a quarter of the answers by it. ``lsr bench recall`` measures what an effort costs and gives in a
collection.
"""

from __future__ import annotations

from dataclasses import replace

from index.searcher import Pruning

DEFAULT_EFFORT = 0.5
LOWEST_FACTOR = 0.6
LOWEST_QUERY_MASS = 0.7


def pruning_of(effort: float, expands_queries: bool, time_budget_ms: float | None) -> Pruning:
    """What an effort (above 0, at most 1: leave nothing out) lets an engine leave out.

    ``expands_queries`` as of the encoder; ``time_budget_ms`` for one query in all segments.
    """
    return Pruning(
        factor=LOWEST_FACTOR + (1 - LOWEST_FACTOR) * effort,
        query_mass=LOWEST_QUERY_MASS + (1 - LOWEST_QUERY_MASS) * effort if expands_queries else 1.0,
        budget_us=0 if time_budget_ms is None else max(1, round(1000 * time_budget_ms)),
    )


def for_part(pruning: Pruning, documents: int, of: int) -> Pruning:
    """The pruning of a part of the documents, which gets its share of the time."""
    if pruning.budget_us == 0 or documents == of:
        return pruning
    return replace(pruning, budget_us=max(1, pruning.budget_us * documents // of))
