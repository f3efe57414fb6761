"""The JSON of answers to searches; typed dictionaries, as those of the other answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from service.api.schemas.facets import FacetAnswer
from service.api.schemas.responses import Metadata, Milliseconds


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


class QueryWordAnswer(TypedDict):
    """A word of the query as it is written, and the terms that it has."""

    word: str
    tokens: list[str]


class PassageAnswer(TypedDict):
    """The passage of a long document that was found: the ``number``-th of ``count``, from 1 on."""

    number: int
    count: int
    start: Annotated[int, Field(description="Its first character in the document's text.")]
    end: Annotated[int, Field(description="The one after its last.")]
    heading: Annotated[NotRequired[str], Field(description="What stands over it.")]
    page: Annotated[NotRequired[int], Field(description="Counted from 1.")]


class HitPayload(TypedDict, total=False):
    """What is stored of a document, or the parts of it that were asked for."""

    title: str
    text: str
    metadata: Metadata


class CellAnswer(TypedDict):
    """A dimension, and a phrase of the query that a document has there."""

    key: str
    phrase: Annotated[str, Field(description="As analysed words.")]


class SearchHit(TypedDict):
    """A document found."""

    id: str
    score: float
    scores: Annotated[
        dict[str, float],
        Field(
            description="In each ranking that found it; re-ranked, in `fusion` and `rerank` too."
        ),
    ]
    payload: Annotated[NotRequired[HitPayload], Field(description="Absent on with_payload: false.")]
    highlights: Annotated[NotRequired[list[HitHighlight]], Field(description="As the payload.")]
    passage: Annotated[
        NotRequired[PassageAnswer], Field(description="Where the document is split.")
    ]
    group: Annotated[
        NotRequired[str | float | bool | None],
        Field(description="With group_by: the value whose group it is in; null: it has none."),
    ]
    cells: Annotated[
        NotRequired[list[CellAnswer]],
        Field(description="With dimensions: the query's phrases that it has."),
    ]
    terms: Annotated[
        NotRequired[dict[str, list[HitTerm]]],
        Field(description="With explain: by field, the terms that carried the score."),
    ]


class TotalAnswer(TypedDict):
    """How many documents match, those of other pages included: exactly, or at least."""

    value: int
    relation: Literal["eq", "gte"]


class RerankedAnswer(TypedDict):
    """What re-ranking did; the documents that it didn't reach follow in their first order."""

    model: str
    fingerprint: str
    documents: Annotated[int, Field(description="How many were scored anew.")]
    wanted: Annotated[int, Field(description="How many should have been.")]
    time_budget_ms: NotRequired[float]
    sentence: Annotated[str, Field(description="The same in words.")]


class RewrittenQuery(TypedDict):
    """What was searched in place of the query."""

    queries: Annotated[list[str], Field(description="Their texts; those of several are fused.")]
    notes: Annotated[list[str], Field(description="What was changed, in a sentence each.")]


class OptionalSearchMeta(TypedDict, total=False):
    """What some answers say of how the hits were found."""

    query_encoder: Annotated[
        dict[str, str], Field(description="Fingerprints of what encoded the query, where others.")
    ]
    unknown_tokens: Annotated[
        list[str], Field(description="Given tokens that no imported vector has; they add nothing.")
    ]
    plan: Annotated[dict[str, str], Field(description="With explain: how each field was searched.")]
    cached: Annotated[
        Literal[True],
        Field(
            description="The answer was kept: it was searched for when nothing was written since."
        ),
    ]
    timed_out: Annotated[
        Literal[True],
        Field(description="The time was up before all was done: marks and terms may be missing."),
    ]
    unknown_words: Annotated[
        list[str], Field(description="Words of the query that no document has.")
    ]
    reranked: Annotated[RerankedAnswer, Field(description="Where re-ranking was asked for.")]
    fusion: Annotated[
        dict[str, Any], Field(description="How rankings became one, as a request asks for it.")
    ]
    depth: Annotated[
        dict[str, int],
        Field(description="Results of each ranking that were fused; all pages are among these."),
    ]
    rewritten: RewrittenQuery
    snapshot: Annotated[str, Field(description="On a replica, the snapshot that was searched.")]
    feedback: Annotated[
        dict[str, list[str]],
        Field(description="By field the ids of the documents that fed back, best first."),
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
    stages_ms: Annotated[
        dict[str, float], Field(description="Wall time of each stage that was needed.")
    ]


class ContextPassageAnswer(TypedDict):
    """A passage to hand to a generator."""

    number: Annotated[int, Field(description="By which it is cited, as 1 in [1].")]
    id: Annotated[str, Field(description="Of its document.")]
    title: str
    text: str
    start: Annotated[int, Field(description="Its first character in the document's text.")]
    end: Annotated[int, Field(description="The one after its last.")]
    heading: NotRequired[str]
    page: NotRequired[int]
    cut: Annotated[NotRequired[Literal[True]], Field(description="The passage goes on after it.")]


class ContextAnswer(TypedDict):
    """The best passages of the hits, each text once."""

    text: Annotated[str, Field(description="All of them, with numbers and titles.")]
    tokens: Annotated[int, Field(description="About how many: a quarter of the bytes.")]
    duplicates: Annotated[int, Field(description="Hits that say what one before says.")]
    passages: list[ContextPassageAnswer]


class SearchAnswer(TypedDict):
    """Hits, best first."""

    took_ms: Milliseconds
    using: str
    hits: list[SearchHit]
    total: TotalAnswer
    facets: Annotated[NotRequired[list[FacetAnswer]], Field(description="In the order asked for.")]
    warnings: Annotated[
        NotRequired[list[str]],
        Field(description="What is odd about the request, such as a key that no document has."),
    ]
    meta: SearchMeta
    cursor: Annotated[
        NotRequired[str], Field(description="For the next page; absent where this was the last.")
    ]
    query_terms: Annotated[
        NotRequired[dict[str, list[QueryTerm]]],
        Field(description="With explain: by field, the encoded query, heaviest term first."),
    ]
    query_words: Annotated[
        NotRequired[dict[str, list[QueryWordAnswer]]],
        Field(
            description="With explain: by field, the words of the query's text. A term that none "
            "of them has was added, by the encoder or by feedback."
        ),
    ]
    context: Annotated[NotRequired[ContextAnswer], Field(description="With context_tokens.")]
