"""The last stages of a search: from the rankings of a query to the page that is asked for."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.collection.view import Passing, View
from index.engines.searcher import TopK
from index.search.arranging import Arrangement, arrange
from index.search.config import SearchConfig
from index.search.context import Context, context_of
from index.search.cursor import Cursor, Page
from index.search.deadline import Deadline
from index.search.dimensions import Cube, cube_of, joined
from index.search.explain import QueryWord, query_terms, query_words
from index.search.facets import FacetCounts
from index.search.fusing import Sources, fuse, sources_of
from index.search.hits import Hit, page_hits, with_parts
from index.search.matches import Matches, Total
from index.search.plan import Plan
from index.search.query import EncodedQuery, SearchQuery, unknown_tokens, unknown_words
from index.search.ranking import Ranking, Rows
from index.search.rerank import RerankStage
from index.search.reranking import Reranked
from index.search.result import SearchResult
from index.search.rewriting import Rewritten
from index.search.second_round import FedBack
from index.search.stage_times import StageTimes
from lsr.sparse import SparseVector


@dataclass(frozen=True)
class Answering:
    """A search whose fields have been ranked: makes the answer to each of its queries."""

    view: View
    config: SearchConfig
    plan: Plan
    # The part of it whose rankings the answer is made of.
    answer_plan: Plan
    encoded: Mapping[str, Rows]
    rankings: Mapping[str, TopK]
    # Of each row, as in SearchResult.
    exact: NDArray[np.bool_]
    gaps: NDArray[np.float32]
    # What feedback made of the queries to a field.
    fed: Mapping[str, FedBack]
    masks: Passing | None
    # As in SearchResult.
    documents: int
    warnings: list[str]
    depth: dict[str, int]
    # The facets that are the same for every query.
    filtered: Sequence[FacetCounts]
    cursor: Cursor | None
    rerank: RerankStage | None
    deadline: Deadline
    times: StageTimes
    # When the search began, by ``time.perf_counter``.
    started: float

    def answer(self, query: SearchQuery, again: Rewritten, places: Sequence[int]) -> SearchResult:
        """The answer to a query.

        Args:
            query: as it was asked.
            again: what was searched in its place.
            places: the rows of these queries in the rankings.
        """
        config, first, asked = self.config, places[0], again.queries[0]
        cube = self._cube(asked)
        matches, sources = self._matches(places, cube)
        added, reranked = dict[str, dict[int, float]](), None
        if self.rerank is not None:
            matches, sources, added, reranked = self._rerank(asked, matches, sources, first)
        if config.min_score is not None:
            matches = matches.scoring(config.min_score, self._joins(places) or reranked is not None)
        arranged = arrange(self.view, config, matches, self.filtered, self.times, self.cursor)
        late = self.deadline.passed()
        hits = self._hits(asked, arranged, sources, first)
        hits = _with_stages(hits, arranged, added, cube)
        context = self._context(hits)
        if context is not None:
            hits = with_parts(hits, config.payload)
        return SearchResult(
            hits=hits,
            took_ms=1000 * (time.perf_counter() - self.started),
            using=self.plan.using,
            generation=self.view.generation,
            documents=self.documents,
            encoder={each.field.name: each.field.fingerprint for each in self.plan.searches},
            query_encoder=self._query_encoders(),
            exact=bool(self.exact[places].all()) and (reranked is None or reranked.whole),
            bound_gap=float(self.gaps[places].max()),
            strategies={name: top.strategies[first] for name, top in self.rankings.items()},
            query_terms=self._query_terms(first) if config.explain else {},
            query_words=self._query_words(again) if config.explain else {},
            unknown_tokens=self._unknown_tokens(query),
            timed_out=late or self.deadline.passed(),
            unknown_words=self._unknown_words(asked) if config.payload else [],
            stages_ms=self.times.ms,
            feedback=self._fed_back(places),
            rewritten=again if config.rewrite else None,
            context=context,
            total=self._total(arranged.total),
            facets=arranged.facets,
            warnings=self.warnings,
            reranked=reranked,
            fusion=self.plan.fusion.describe() if self.plan.fusion else None,
            depth=self.depth,
            page=self._next_page(query, arranged, hits),
        )

    def _joins(self, places: Sequence[int]) -> bool:
        """Whether several rankings become one, so that a score isn't a field's own."""
        several = self.answer_plan.fusion is not None or len(places) > 1
        return several or self.config.dimensions is not None

    def _matches(self, places: Sequence[int], cube: Cube | None) -> tuple[Matches, Sources | None]:
        """What a query found, and what that was made of; None where it is a field's ranking."""
        plan = self.answer_plan
        complete = all(
            self.rankings[each.field.name].is_complete(place, each.limit)
            for each in plan.searches
            for place in places
        )
        if not self._joins(places):
            top, place = self.rankings[plan.using], places[0]
            found = top.documents[place] >= 0
            scores = top.scores[place][found].astype(np.float64)
            return Matches(top.documents[place][found], scores, complete), None
        parts = [
            sources_of(
                self.view, plan, self.rankings, self.encoded, place, self.config.engine, self.times
            )
            for place in places
        ]
        ranking = fuse(plan, [part.rankings for part in parts], self.times)
        if cube is not None and self.config.dimensions is not None:
            with self.times.stage("dimensions"):
                ranking = joined(ranking, cube, self.config.dimensions.weight)
        return Matches.of(ranking, complete), parts[0]

    def _vectors(self, place: int) -> dict[str, EncodedQuery]:
        return {name: self.encoded[name][place] for name in self.rankings}

    def _alone(self, ranking: Ranking, place: int) -> Sources:
        """What a query found in the one field that was ranked, or a part of it."""
        only = self.answer_plan.using
        numbers = [number for number, _ in ranking]
        best = {only: self.rankings[only].passages_of(place, numbers)}
        return Sources({only: ranking}, best, self._vectors(place))

    def _cube(self, query: SearchQuery) -> Cube | None:
        if self.config.dimensions is None:
            return None
        with self.times.stage("dimensions"):
            return cube_of(self.view, self.config.dimensions, query, self.masks)

    def _rerank(
        self, query: SearchQuery, matches: Matches, sources: Sources | None, place: int
    ) -> tuple[Matches, Sources, dict[str, dict[int, float]], Reranked]:
        """What matches in its new order, and the scores that the hits have in the last stages."""
        assert self.rerank is not None
        ranking = list(zip(matches.numbers.tolist(), matches.scores.tolist(), strict=True))
        added = {} if sources is None else {"fusion": dict(ranking)}
        if sources is None:
            sources = self._alone(ranking, place)
        with self.times.stage("rerank"):
            ranking, added["rerank"], done = self.rerank(
                self.view, query, ranking, sources.rankings, sources.passages, self.deadline
            )
        return Matches.of(ranking, matches.complete), sources, added, done

    def _hits(
        self, query: SearchQuery, arranged: Arrangement, sources: Sources | None, place: int
    ) -> list[Hit]:
        page = arranged.page
        with self.times.stage("hits"):
            if sources is None:
                sources = self._alone(page, place)
            return page_hits(
                self.view,
                query,
                self.config,
                page,
                sources.rankings,
                sources.vectors,
                self.deadline,
                sources.passages,
            )

    def _next_page(
        self, query: SearchQuery, arranged: Arrangement, hits: Sequence[Hit]
    ) -> Page | None:
        """From what the cursor of the next page is made; None where the ranking has ended."""
        config = self.config
        if len(hits) < config.limit or config.group_by is not None:
            return None
        ids = [hit.id for hit in hits]
        return Page(self.view, query, config, self.cursor, arranged.reached, ids)

    def _total(self, found: Total) -> Total:
        """How many match: in a dense field alone, all that were searched."""
        plan = self.answer_plan
        dense = plan.fusion is None and plan.searches[0].field.kind == "dense"
        whole = dense and self.config.min_score is None
        return Total(self.documents, "eq") if whole else found

    def _context(self, hits: Sequence[Hit]) -> Context | None:
        if self.config.context_tokens is None:
            return None
        with self.times.stage("context"):
            return context_of(hits, self.config.context_tokens)

    def _fed_back(self, places: Sequence[int]) -> dict[str, list[str]]:
        """By field the ids of the documents that fed back into what a query has become."""
        numbers = {
            name: list(dict.fromkeys(n for place in places for n in each.documents[place]))
            for name, each in self.fed.items()
        }
        ids = self.view.store.ids([number for each in numbers.values() for number in each])
        return {name: [ids[number] for number in each] for name, each in numbers.items()}

    def _query_encoders(self) -> dict[str, str]:
        return {
            each.field.name: each.encoder.fingerprint
            for each in self.plan.searches
            if each.encoder is not None
        }

    def _unknown_tokens(self, query: SearchQuery) -> list[str]:
        found: dict[str, None] = {}
        for each in self.plan.searches:
            found |= unknown_tokens(self.view, each.field, query)
        return list(found)

    def _unknown_words(self, query: SearchQuery) -> list[str]:
        return unknown_words(self.view, [each.field for each in self.plan.searches], query)

    def _query_terms(self, place: int) -> dict[str, list[tuple[str, float]]]:
        vectors = self._vectors(place)
        return {
            each.field.name: query_terms(self.view, each.field, vector)
            for each in self.plan.searches
            if isinstance(vector := vectors.get(each.field.name), SparseVector)
        }

    def _query_words(self, again: Rewritten) -> dict[str, list[QueryWord]]:
        texts = [query.text for query in again.queries if query.text]
        if not texts:
            return {}
        return {
            each.field.name: query_words(
                each.encoder or self.view.fields.encoder(each.field), texts
            )
            for each in self.plan.searches
            if each.field.kind == "sparse"
        }


def _with_stages(
    hits: Sequence[Hit],
    arranged: Arrangement,
    added: Mapping[str, Mapping[int, float]],
    cube: Cube | None,
) -> list[Hit]:
    """The hits of a page with what the stages behind the rankings of fields say of them."""
    found = []
    for place, (hit, (number, _)) in enumerate(zip(hits, arranged.page, strict=True)):
        scores = {name: each[number] for name, each in added.items() if number in each}
        if scores:
            hit = dataclasses.replace(hit, scores=hit.scores | scores)
        if arranged.groups:
            hit = dataclasses.replace(hit, group=arranged.groups[place])
        if cube is not None:
            hit = dataclasses.replace(hit, cells=cube.cells_of(number))
        found.append(hit)
    return found
