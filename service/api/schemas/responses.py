"""The JSON of REST responses.

They are typed dictionaries: a key that an answer may lack is ``NotRequired`` and never null, mypy
checks what is built against them, and the OpenAPI document is made of them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from index.search.highlight import Highlight
from index.search.hits import Hit
from index.search.pipeline import SearchResult
from lsr.corpus.documents import Document

Milliseconds = Annotated[float, Field(description="Wall time in milliseconds.")]
Metadata = Annotated[dict[str, Any], Field(description="Other JSON values that came with it.")]


class ErrorDetail(TypedDict):
    """What went wrong, in one sentence."""

    code: Annotated[int, Field(description="The HTTP status.")]
    type: str
    message: str
    request_id: Annotated[str, Field(description="As in the header X-Request-ID.")]


class ErrorBody(TypedDict):
    """The shape of every error."""

    error: ErrorDetail


class HealthAnswer(TypedDict):
    """The server is up."""

    status: Literal["ok"]


class ReadyAnswer(TypedDict):
    """The server answers; ``degraded`` where something is wrong with some indexes."""

    status: Literal["ok", "degraded"]
    problems: Annotated[
        NotRequired[list[str]], Field(description="A sentence for each index that has a problem.")
    ]


class IndexField(TypedDict):
    """A field of an index."""

    name: str
    kind: Literal["sparse", "dense"]
    encoder: Annotated[str, Field(description="Name of the encoder that filled it.")]
    fingerprint: Annotated[str, Field(description="Of the encoder; another one gives another.")]
    size: Annotated[int, Field(description="Terms of the vocabulary, or dimensions.")]


class IndexAnswer(TypedDict):
    """An index, with its fields and number of documents."""

    name: str
    documents: int
    fields: list[IndexField]


class BrokenIndex(TypedDict):
    """An index that can't be read."""

    name: str
    problem: Annotated[str, Field(description="What is wrong with it, in one sentence.")]


class IndexesAnswer(TypedDict):
    """All indexes, by name."""

    indexes: list[IndexAnswer | BrokenIndex]


class Payload(TypedDict):
    """What is stored of a document."""

    title: str
    text: str
    metadata: Metadata


class DocumentAnswer(TypedDict):
    """A document."""

    id: str
    title: str
    text: str
    metadata: Metadata


class DeleteAnswer(TypedDict):
    """The documents that were there and are deleted."""

    deleted: int
    ids: Annotated[list[str], Field(description="In ascending order.")]


class PatchAnswer(TypedDict):
    """What became of a document that was to be changed."""

    id: str
    result: Literal["updated", "unchanged"]


class WrittenItem(TypedDict):
    """An item that is stored; 201 where its id is new, else 200."""

    id: str
    status: Literal[200, 201]
    result: Literal["created", "updated", "unchanged"]


class ItemError(TypedDict):
    """Why an item is not stored."""

    type: Literal["invalid_document"]
    message: str


class RejectedItem(TypedDict):
    """An item that is not stored; its id is null where it has none."""

    id: str | None
    status: Literal[422]
    error: ItemError


FailureType = Literal["locked", "failed", "stopping", "storage_full"]


class FailureDetail(TypedDict):
    """Why a good item is not stored."""

    type: FailureType
    message: str


class FailedItem(TypedDict):
    """An item that the server could not store, though nothing is wrong with it.

    409: another process is writing; 500: the write failed; 503: the server is stopping; 507: its
    disk is full.
    """

    id: str
    status: Literal[409, 500, 503, 507]
    error: FailureDetail


class BulkAnswer(TypedDict):
    """What became of each item, in the order of the request."""

    took_ms: Milliseconds
    errors: Annotated[bool, Field(description="Whether some items are not stored.")]
    items: list[WrittenItem | RejectedItem | FailedItem]


class StorageFullBody(ErrorBody, BulkAnswer):
    """The disk was full before any item was written: the usual error, and what became of each."""


class HitHighlight(TypedDict):
    """A part of a field's text, with the words that match."""

    field: str
    snippet: str
    spans: Annotated[
        list[tuple[int, int]], Field(description="[start, end) of each word, ascending.")
    ]
    looked_at: Annotated[
        NotRequired[int],
        Field(description="Characters of the text that were looked at, where that is not all."),
    ]


class HitTerm(TypedDict):
    """A term's part of a score: the product of its two weights."""

    token: str
    query_weight: float
    document_weight: float
    contribution: float


class QueryTerm(TypedDict):
    """A term of the encoded query."""

    token: str
    weight: float


class SearchHit(TypedDict):
    """A document found."""

    id: str
    score: float
    scores: Annotated[dict[str, float], Field(description="In each ranking that found it.")]
    payload: Annotated[NotRequired[Payload], Field(description="Absent on with_payload: false.")]
    highlights: Annotated[NotRequired[list[HitHighlight]], Field(description="As the payload.")]
    terms: Annotated[
        NotRequired[dict[str, list[HitTerm]]],
        Field(description="With explain: by field, the terms that carried the score."),
    ]


class OptionalSearchMeta(TypedDict, total=False):
    """What some answers say of how the hits were found."""

    query_encoder: Annotated[
        dict[str, str], Field(description="Fingerprints of what encoded the query, where others.")
    ]
    unknown_tokens: Annotated[
        list[str], Field(description="Given tokens that no imported vector has; they add nothing.")
    ]
    plan: Annotated[dict[str, str], Field(description="With explain: how each field was searched.")]
    timed_out: Annotated[
        Literal[True],
        Field(description="The time was up before all was done: marks and terms may be missing."),
    ]
    unknown_words: Annotated[
        list[str], Field(description="Words of the query that no document has.")
    ]


class SearchMeta(OptionalSearchMeta):
    """How the hits were found.

    ``exact`` says that exact search gives these very hits; ``bound_gap`` is how far a document
    that was left out could score above the last result.
    """

    exact: bool
    bound_gap: float
    generation: Annotated[int, Field(description="Rises whenever a segment is published.")]
    encoder: Annotated[dict[str, str], Field(description="Fingerprints by field.")]
    documents: Annotated[int, Field(description="How many were searched.")]


class SearchAnswer(TypedDict):
    """Hits, best first."""

    took_ms: Milliseconds
    using: str
    hits: list[SearchHit]
    meta: SearchMeta
    query_terms: Annotated[
        NotRequired[dict[str, list[QueryTerm]]],
        Field(description="With explain: by field, the encoded query, heaviest term first."),
    ]


def search_json(result: SearchResult, explain: bool) -> SearchAnswer:
    """A search result as JSON."""
    other: OptionalSearchMeta = {}
    if result.query_encoder:
        other["query_encoder"] = result.query_encoder
    if result.unknown_tokens:
        other["unknown_tokens"] = result.unknown_tokens
    if result.timed_out:
        other["timed_out"] = True
    if result.unknown_words:
        other["unknown_words"] = result.unknown_words
    body: SearchAnswer = {
        "took_ms": round(result.took_ms, 3),
        "using": result.using,
        "hits": [hit_json(hit, explain) for hit in result.hits],
        "meta": {
            "exact": result.exact,
            "bound_gap": result.bound_gap,
            "generation": result.generation,
            "encoder": result.encoder,
            **other,
            "documents": result.documents,
        },
    }
    if explain:
        body["meta"]["plan"] = result.strategies
        body["query_terms"] = {
            name: [{"token": token, "weight": weight} for token, weight in terms]
            for name, terms in result.query_terms.items()
        }
    return body


def hit_json(hit: Hit, explain: bool) -> SearchHit:
    """One hit as JSON."""
    body: SearchHit = {"id": hit.id, "score": hit.score, "scores": hit.scores}
    if hit.document is not None:
        body["payload"] = payload_json(hit.document)
        body["highlights"] = [highlight_json(mark) for mark in hit.highlights]
    if explain:
        body["terms"] = {
            name: [
                {
                    "token": term.token,
                    "query_weight": term.query_weight,
                    "document_weight": term.document_weight,
                    "contribution": term.contribution,
                }
                for term in terms
            ]
            for name, terms in hit.terms.items()
        }
    return body


def highlight_json(mark: Highlight) -> HitHighlight:
    """The marks in one field of a hit, as JSON."""
    body: HitHighlight = {"field": mark.field, "snippet": mark.snippet, "spans": mark.spans}
    if mark.looked_at is not None:
        body["looked_at"] = mark.looked_at
    return body


def payload_json(document: Document) -> Payload:
    """What is stored of a document, as JSON."""
    return {
        "title": document.title,
        "text": document.text,
        "metadata": dict(document.metadata),
    }
