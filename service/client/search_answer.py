"""The answer of a search as the result that ``lsr.search`` gives of a collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from index.search.context import Context, ContextPassage, counted
from index.search.explain import Contribution, QueryWord
from index.search.facets import FacetCounts
from index.search.highlight import Highlight
from index.search.hits import Hit, HitPassage
from index.search.matches import Total
from index.search.query import SearchQuery
from index.search.reranking import Reranked
from index.search.result import SearchResult
from index.search.rewriting import Rewritten
from lsr.corpus.documents import Document

if TYPE_CHECKING:
    from service.api.schemas.facets import FacetAnswer
    from service.api.schemas.listing import ListedDocument
    from service.api.schemas.responses import DocumentAnswer
    from service.api.schemas.search_answer import (
        ContextAnswer,
        HitHighlight,
        PassageAnswer,
        SearchAnswer,
        SearchHit,
    )

UNKNOWN_TERM = -1
"""In place of the number of a term, which answers don't have."""


@dataclass(frozen=True, slots=True)
class ServedPage:
    """A page of a server, with the cursor of the next."""

    cursor: str

    def next(self) -> str:
        """The cursor of the next page."""
        return self.cursor


def result_of(answer: SearchAnswer) -> SearchResult:
    """The result; how each field was searched is only told with ``explain``."""
    meta, rewritten = answer["meta"], answer["meta"].get("rewritten")
    terms = answer.get("query_terms", {})
    cursor, context = answer.get("cursor"), answer.get("context")
    return SearchResult(
        hits=[_hit(hit) for hit in answer["hits"]],
        took_ms=answer["took_ms"],
        using=answer["using"],
        generation=meta["generation"],
        documents=meta["documents"],
        encoder=meta["encoder"],
        query_encoder=meta.get("query_encoder", {}),
        exact=meta["exact"],
        bound_gap=meta["bound_gap"],
        strategies=meta.get("plan", {}),
        query_terms={
            name: [(term["token"], term["weight"]) for term in row] for name, row in terms.items()
        },
        query_words={
            name: [QueryWord(each["word"], each["tokens"]) for each in words]
            for name, words in answer.get("query_words", {}).items()
        },
        unknown_tokens=meta.get("unknown_tokens", []),
        timed_out=meta.get("timed_out", False),
        unknown_words=meta.get("unknown_words", []),
        stages_ms=meta["stages_ms"],
        feedback=meta.get("feedback", {}),
        rewritten=None
        if rewritten is None
        else Rewritten(
            tuple(SearchQuery(text) for text in rewritten["queries"]), tuple(rewritten["notes"])
        ),
        context=None if context is None else _context(context),
        total=Total(answer["total"]["value"], answer["total"]["relation"]),
        facets=[facet_of(facet) for facet in answer.get("facets", [])],
        warnings=answer.get("warnings", []),
        reranked=_reranked(meta.get("reranked")),
        fusion=meta.get("fusion"),
        depth=meta.get("depth", {}),
        page=None if cursor is None else ServedPage(cursor),
    )


def document_of(answer: DocumentAnswer | ListedDocument) -> Document:
    """A stored document, or what was asked for of it; of a damaged one the id."""
    return Document(
        answer["id"], answer.get("text", ""), answer.get("title", ""), answer.get("metadata", {})
    )


def facet_of(answer: FacetAnswer) -> FacetCounts:
    """The values of one key."""
    return FacetCounts(
        key=answer["key"],
        over=answer["over"],
        documents=answer["documents"],
        having=answer["having"],
        distinct=answer["distinct"],
        values=[(each["value"], each["count"]) for each in answer["values"]],
        exact=answer["exact"],
    )


def _hit(hit: SearchHit) -> Hit:
    payload, passage = hit.get("payload"), hit.get("passage")
    return Hit(
        id=hit["id"],
        score=hit["score"],
        scores=hit["scores"],
        document=None
        if payload is None
        else Document(
            hit["id"],
            payload.get("text", ""),
            payload.get("title", ""),
            payload.get("metadata", {}),
        ),
        highlights=[_highlight(mark) for mark in hit.get("highlights", [])],
        terms=_terms(hit.get("terms", {})),
        passage=None if passage is None else _passage(passage),
        group=hit.get("group"),
        cells=[(cell["key"], cell["phrase"]) for cell in hit.get("cells", [])],
    )


def _highlight(mark: HitHighlight) -> Highlight:
    spans = [(start, end) for start, end in mark["spans"]]
    return Highlight(mark["field"], mark["snippet"], spans, mark.get("looked_at"))


def _terms(terms: Mapping[str, Sequence[Any]]) -> dict[str, list[Contribution]]:
    return {
        name: [
            Contribution(
                UNKNOWN_TERM,
                term["token"],
                term["query_weight"],
                term["document_weight"],
                term["contribution"],
            )
            for term in row
        ]
        for name, row in terms.items()
    }


def _passage(passage: PassageAnswer) -> HitPassage:
    return HitPassage(
        passage["number"],
        passage["count"],
        passage["start"],
        passage["end"],
        passage.get("heading", ""),
        passage.get("page"),
    )


def _context(answer: ContextAnswer) -> Context:
    passages = tuple(
        counted(
            ContextPassage(
                number=each["number"],
                id=each["id"],
                title=each["title"],
                text=each["text"],
                start=each["start"],
                end=each["end"],
                tokens=0,
                heading=each.get("heading", ""),
                page=each.get("page"),
                cut=each.get("cut", False),
            )
        )
        for each in answer["passages"]
    )
    return Context(passages, answer["tokens"], answer["duplicates"])


def _reranked(answer: Any) -> Reranked | None:
    if answer is None:
        return None
    return Reranked(
        model=answer["model"],
        fingerprint=answer["fingerprint"],
        documents=answer["documents"],
        wanted=answer["wanted"],
        time_budget_ms=answer.get("time_budget_ms"),
    )
