"""Search results as the JSON of answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from index.search.config import SearchConfig
from index.search.context import Context, ContextPassage
from index.search.explain import Contribution
from index.search.highlight import Highlight
from index.search.hits import Hit, HitPassage
from index.search.payload import METADATA, PARTS, TEXT, TITLE, named_parts
from index.search.reranking import Reranked
from index.search.result import SearchResult
from lsr.corpus.documents import Document
from service.api.schemas.facets import facet_json
from service.api.schemas.search_answer import (
    ContextAnswer,
    ContextPassageAnswer,
    HitHighlight,
    HitPayload,
    HitTerm,
    OptionalSearchMeta,
    PassageAnswer,
    QueryTerm,
    RerankedAnswer,
    SearchAnswer,
    SearchHit,
)


def search_json(
    result: SearchResult, explain: bool, config: SearchConfig, snapshot: str | None = None
) -> SearchAnswer:
    """A search result as JSON.

    ``config`` is how was searched, and ``snapshot`` of what on a replica.
    """
    other: OptionalSearchMeta = {}
    if result.query_encoder:
        other["query_encoder"] = result.query_encoder
    if snapshot is not None:
        other["snapshot"] = snapshot
    if result.unknown_tokens:
        other["unknown_tokens"] = result.unknown_tokens
    if result.timed_out:
        other["timed_out"] = True
    if result.unknown_words:
        other["unknown_words"] = result.unknown_words
    if result.feedback:
        other["feedback"] = result.feedback
    if result.reranked is not None:
        other["reranked"] = reranked_json(result.reranked)
    if result.fusion is not None:
        other["fusion"] = result.fusion
        other["depth"] = result.depth
    if result.rewritten is not None:
        texts = [query.text or "" for query in result.rewritten.queries]
        other["rewritten"] = {"queries": texts, "notes": list(result.rewritten.notes)}
    body: SearchAnswer = {
        "took_ms": round(result.took_ms, 3),
        "using": result.using,
        "hits": [hit_json(hit, explain, config) for hit in result.hits],
        "total": {"value": result.total.value, "relation": result.total.relation},
        "meta": {
            "exact": result.exact,
            "bound_gap": result.bound_gap,
            "generation": result.generation,
            "encoder": result.encoder,
            **other,
            "documents": result.documents,
            "stages_ms": {name: round(ms, 3) for name, ms in result.stages_ms.items()},
        },
    }
    if config.facets:
        body["facets"] = [facet_json(each) for each in result.facets]
    if result.warnings:
        body["warnings"] = result.warnings
    if (cursor := result.cursor) is not None:
        body["cursor"] = cursor
    if result.context is not None:
        body["context"] = context_json(result.context)
    if explain:
        body["meta"]["plan"] = result.strategies
        body["query_terms"] = query_terms_json(result.query_terms)
        body["query_words"] = {
            name: [{"word": each.word, "tokens": each.tokens} for each in words]
            for name, words in result.query_words.items()
        }
    return body


def query_terms_json(
    found: Mapping[str, Sequence[tuple[str, float]]],
) -> dict[str, list[QueryTerm]]:
    """The terms of queries by field, as JSON."""
    return {
        name: [{"token": token, "weight": weight} for token, weight in terms]
        for name, terms in found.items()
    }


def terms_json(found: Mapping[str, Sequence[Contribution]]) -> dict[str, list[HitTerm]]:
    """The terms that carried a score by field, as JSON."""
    return {
        name: [
            {
                "token": term.token,
                "query_weight": term.query_weight,
                "document_weight": term.document_weight,
                "contribution": term.contribution,
            }
            for term in terms
        ]
        for name, terms in found.items()
    }


def reranked_json(reranked: Reranked) -> RerankedAnswer:
    """What re-ranking did, as JSON."""
    body: RerankedAnswer = {
        "model": reranked.model,
        "fingerprint": reranked.fingerprint,
        "documents": reranked.documents,
        "wanted": reranked.wanted,
        "sentence": reranked.sentence,
    }
    if reranked.time_budget_ms is not None:
        body["time_budget_ms"] = reranked.time_budget_ms
    return body


def context_json(context: Context) -> ContextAnswer:
    """The passages for a generator as JSON."""
    return {
        "text": context.text,
        "tokens": context.tokens,
        "duplicates": context.duplicates,
        "passages": [_context_passage_json(each) for each in context.passages],
    }


def _context_passage_json(passage: ContextPassage) -> ContextPassageAnswer:
    body: ContextPassageAnswer = {
        "number": passage.number,
        "id": passage.id,
        "title": passage.title,
        "text": passage.text,
        "start": passage.start,
        "end": passage.end,
    }
    _add_where(body, passage)
    if passage.cut:
        body["cut"] = True
    return body


def hit_json(hit: Hit, explain: bool, config: SearchConfig) -> SearchHit:
    """One hit as JSON."""
    body: SearchHit = {"id": hit.id, "score": hit.score, "scores": hit.scores}
    if hit.document is not None:
        body["payload"] = _payload_json(hit.document, config.payload)
        body["highlights"] = [highlight_json(mark) for mark in hit.highlights]
    if config.dimensions is not None:
        body["cells"] = [{"key": key, "phrase": phrase} for key, phrase in hit.cells]
    if hit.passage is not None:
        body["passage"] = passage_json(hit.passage)
    if config.group_by is not None:
        body["group"] = hit.group
    if explain:
        body["terms"] = terms_json(hit.terms)
    return body


def passage_json(passage: HitPassage) -> PassageAnswer:
    """The best passage of a hit, as JSON."""
    body: PassageAnswer = {
        "number": passage.number,
        "count": passage.count,
        "start": passage.start,
        "end": passage.end,
    }
    _add_where(body, passage)
    return body


def _add_where(
    body: ContextPassageAnswer | PassageAnswer, passage: ContextPassage | HitPassage
) -> None:
    """Heading and page of a passage, where they are known."""
    if passage.heading:
        body["heading"] = passage.heading
    if passage.page is not None:
        body["page"] = passage.page


def highlight_json(mark: Highlight) -> HitHighlight:
    """The marks in one field of a hit, as JSON."""
    body: HitHighlight = {"field": mark.field, "snippet": mark.snippet, "spans": mark.spans}
    if mark.looked_at is not None:
        body["looked_at"] = mark.looked_at
    return body


def _payload_json(document: Document, payload: bool | Sequence[str]) -> HitPayload:
    """A document's parts as JSON; ``payload`` as in SearchConfig."""
    return parts_json(document, PARTS if isinstance(payload, bool) else named_parts(payload))


def parts_json(document: Document, wanted: Collection[str]) -> HitPayload:
    """The ``wanted`` of title, text and metadata of a document, as JSON."""
    body: HitPayload = {}
    if TITLE in wanted:
        body["title"] = document.title
    if TEXT in wanted:
        body["text"] = document.text
    if METADATA in wanted:
        body["metadata"] = dict(document.metadata)
    return body
