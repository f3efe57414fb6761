"""The rankings of one query, and the one that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from index.collection.view import View
from index.engines.searcher import TopK
from index.search.fusion import ReciprocalRankFusion
from index.search.look_up import completed
from index.search.plan import Plan
from index.search.query import EncodedQuery
from index.search.ranking import Ranking, Rows
from index.search.stage_times import StageTimes


@dataclass(frozen=True)
class Sources:
    """The rankings of one query by field, its vectors, and the best passages of documents."""

    rankings: Mapping[str, Ranking]
    passages: Mapping[str, Mapping[int, int]]
    vectors: Mapping[str, EncodedQuery]


def sources_of(
    view: View,
    plan: Plan,
    rankings: Mapping[str, TopK],
    encoded: Mapping[str, Rows],
    place: int,
    engine: str,
    times: StageTimes,
) -> Sources:
    """What was ranked for the query at a place; with every true score, where its fusion wants."""
    lists = {name: top.ranking(place) for name, top in rankings.items()}
    passages = {name: top.passages_of(place) for name, top in rankings.items()}
    vectors = {name: encoded[name][place] for name in rankings}
    if plan.fusion is None or not plan.fusion.looks_up:
        return Sources(lists, passages, vectors)
    with times.stage("look-up"):
        found = completed(view, plan.searches, vectors, lists, passages, engine)
    return Sources(*found, vectors)


def fuse(plan: Plan, parts: Sequence[Mapping[str, Ranking]], times: StageTimes) -> Ranking:
    """The one ranking of a query, which may have become several: those are fused by RRF."""
    if plan.fusion is None and len(parts) == 1:
        return parts[0][plan.using]
    with times.stage("fuse"):
        found = [
            part[plan.using] if plan.fusion is None else plan.fusion.fuse(part) for part in parts
        ]
        if len(found) == 1:
            return found[0]
        return ReciprocalRankFusion().fuse({str(n): each for n, each in enumerate(found)})
