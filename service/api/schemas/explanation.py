"""The JSON of explanations: why a document is where it is."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from index.search.explanation import DEPTH, Explanation
from lsr.corpus.documents import check_unicode
from service.api.schemas.responses import Milliseconds
from service.api.schemas.search_answer import HitTerm, PassageAnswer, QueryTerm, TotalAnswer
from service.api.schemas.search_json import passage_json, query_terms_json, terms_json
from service.api.schemas.search_request import DocumentId, QueryBody, RankingBody


class ExplainBody(RankingBody):
    """A query, how is ranked, and the document whose place is to be explained."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"id": "shutil", "query": "how to copy a file"}]},
    )

    id: DocumentId
    query: QueryBody
    depth: Annotated[int, Field(description="How far the ranking is looked through.")] = DEPTH

    def to_id(self) -> str:
        """The id, spelled as documents have it.

        Raises:
            InputError: it is not valid Unicode.
        """
        return check_unicode(str(self.id), "id")


class ExplainAnswer(TypedDict):
    """Where a document stands, and what carried it there."""

    took_ms: Milliseconds
    id: str
    using: str
    sentence: Annotated[str, Field(description="The same in words.")]
    rank: Annotated[
        NotRequired[int],
        Field(description="From 1 on; absent where it is not among the first `depth`."),
    ]
    ranks: Annotated[dict[str, int], Field(description="By field, among those.")]
    depth: int
    score: Annotated[NotRequired[float], Field(description="Absent where it matches nothing.")]
    scores: Annotated[dict[str, float], Field(description="By field.")]
    terms: Annotated[
        dict[str, list[HitTerm]], Field(description="By field, those that carried the score.")
    ]
    missing: Annotated[
        dict[str, list[QueryTerm]], Field(description="By field, those of the query it lacks.")
    ]
    query_terms: Annotated[
        dict[str, list[QueryTerm]], Field(description="By field, heaviest first.")
    ]
    passes_filter: bool
    passage: Annotated[
        NotRequired[PassageAnswer], Field(description="Where the document is split.")
    ]
    total: TotalAnswer
    exact: bool


def explanation_json(found: Explanation) -> ExplainAnswer:
    """An explanation as JSON."""
    body: ExplainAnswer = {
        "took_ms": round(found.took_ms, 3),
        "id": found.id,
        "using": found.using,
        "sentence": found.sentence,
        "ranks": found.ranks,
        "depth": found.depth,
        "scores": {} if found.hit is None else found.hit.scores,
        "terms": {} if found.hit is None else terms_json(found.hit.terms),
        "missing": query_terms_json(found.missing),
        "query_terms": query_terms_json(found.query_terms),
        "passes_filter": found.passes_filter,
        "total": {"value": found.total.value, "relation": found.total.relation},
        "exact": found.exact,
    }
    if found.rank is not None:
        body["rank"] = found.rank
    if found.hit is not None:
        body["score"] = found.hit.score
        if found.hit.passage is not None:
            body["passage"] = passage_json(found.hit.passage)
    return body
