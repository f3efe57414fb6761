"""The JSON of evaluations: judged queries in, measures and a run out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, StrictInt
from typing_extensions import TypedDict

from service.api.schemas.body import Body
from service.api.schemas.responses import Milliseconds
from service.api.schemas.search_request import RankingBody

if TYPE_CHECKING:
    from eval.judged_search import Judged

MOST_QUERIES = 10_000
MOST_MEASURES = 20
MOST_DEPTH = 1000
Grade = Annotated[StrictInt, Field(ge=-100, le=1000)]


class EvaluateBody(Body):
    """Queries, the grades of documents by query, and how is searched."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "queries": {"q1": "how to copy a file"},
                    "qrels": {"q1": {"shutil": 2, "os": 1}},
                    "measures": ["nDCG@10", "Recall@100"],
                    "search": {"using": "sparse"},
                }
            ]
        },
    )

    queries: Annotated[dict[str, str], Field(min_length=1, max_length=MOST_QUERIES)]
    qrels: Annotated[
        dict[str, Annotated[dict[str, Grade], Field(min_length=1)]],
        Field(min_length=1, max_length=MOST_QUERIES, description="Grades by query and document."),
    ]
    measures: Annotated[
        list[str] | None,
        Field(
            min_length=1,
            max_length=MOST_MEASURES,
            description="As of ir_measures; nDCG@10, Recall@100, MRR@10 and MAP@100 by default.",
        ),
    ] = None
    search: RankingBody = Field(default_factory=RankingBody)
    depth: Annotated[
        int,
        Field(
            ge=1,
            le=MOST_DEPTH,
            description="Results of each query; left out, as many as the measures need.",
        ),
    ] = 100
    per_query: Annotated[bool, Field(description="Whether each query has its values.")] = False
    run: Annotated[
        Literal["trec"] | None, Field(description="Whether the rankings come, as a TREC run.")
    ] = None


class EvaluateAnswer(TypedDict):
    """Measures, means over the judged queries."""

    took_ms: Milliseconds
    using: str
    documents: Annotated[int, Field(description="Of the index.")]
    queries: Annotated[int, Field(description="How many were judged.")]
    measures: dict[str, float]
    ms_per_query: Milliseconds
    per_query: Annotated[
        NotRequired[dict[str, dict[str, float]]], Field(description="Measures by query.")
    ]
    run: Annotated[
        NotRequired[str], Field(description="Lines of query, Q0, document, rank, score and tag.")
    ]


def evaluation_json(found: Judged, took_ms: float) -> EvaluateAnswer:
    """An evaluation as JSON."""
    body: EvaluateAnswer = {
        "took_ms": round(took_ms, 3),
        "using": found.using,
        "documents": found.documents,
        "queries": found.queries,
        "measures": found.measures,
        "ms_per_query": round(found.ms_per_query, 3),
    }
    if found.per_query is not None:
        body["per_query"] = found.per_query
    return body
