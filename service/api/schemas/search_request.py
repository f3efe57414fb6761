"""The JSON of searches."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    StrictInt,
    StrictStr,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from index.search.config import Prefetch, SearchConfig
from index.search.dimension_settings import MOST_KEYS, Dimensions
from index.search.fusion import CombMnz, Fusion, LinearFusion, ReciprocalRankFusion
from index.search.like import MOST_LIKE
from index.search.payload import METADATA, TITLE
from index.search.query import SearchQuery
from index.search.reranking import DEFAULT_DEPTH, Reranking
from index.search.rewriters import rewriter_of
from lsr.corpus.documents import check_unicode
from lsr.errors import InputError
from service.api.rerankers import ServedRerankers
from service.api.schemas.arranging import (
    MOST_PARTS,
    Facets,
    GroupingBody,
    SortKeys,
    facet,
    grouping,
    sort_key,
)
from service.api.schemas.body import Body, FilterBody, parse_filter
from service.api.schemas.feedback import FeedbackBody

LONGEST_VECTOR = 100_000
BRIEF = (TITLE, METADATA)
"""What a hit has of its document where nothing is said."""
MOST_CHARACTERS = 32 << 20
"""Of the documents of all hits of an answer."""
# What a plain search may say, the hits down to the end of its page, and the length of its text.
PLAIN = {"query", "limit", "offset", "using", "with_payload", "highlight", "tuned"}
PLAIN_HITS, PLAIN_CHARACTERS = 20, 500


def _numbers(value: object) -> object:
    """The same, unless it is an object with a member that is no number: one reason is enough."""
    for name, member in value.items() if isinstance(value, dict) else ():
        if isinstance(member, list | dict | None):
            raise ValueError(f"the member {name!r} is no number")
        if isinstance(member, str):
            float(member)
    return value


Integers = Annotated[list[int], Field(max_length=LONGEST_VECTOR, fail_fast=True)]
Floats = Annotated[list[float], Field(max_length=LONGEST_VECTOR, fail_fast=True)]
Weights = Annotated[dict[str, float], BeforeValidator(_numbers), Field(max_length=LONGEST_VECTOR)]
Payload = Annotated[
    bool | Annotated[list[str], Field(min_length=1, max_length=MOST_PARTS)],
    Field(
        description="All parts of the documents, none, or which: `title`, `text`, `metadata`, or "
        "keys of the metadata. A search gives whole texts only where they are asked for; a "
        "highlight has the part of a text that matches."
    ),
]
DocumentId = StrictStr | StrictInt
NormName = Literal["none", "max", "min-max", "z-score", "dbsf", "rank"]
Norm = NormName | Annotated[dict[str, NormName], Field(max_length=16)]


class SparseVectorBody(Body):
    """A sparse vector: term ids and their weights."""

    indices: Integers
    values: Floats


class QueryBody(Body):
    """What is asked: text, or in its place vectors, or documents to be like. A string is a text."""

    text: str | None = None
    tokens: Weights | None = None
    sparse: SparseVectorBody | None = None
    dense: Floats | None = None
    like: Annotated[
        DocumentId | Annotated[list[DocumentId], Field(max_length=MOST_LIKE)] | None,
        Field(
            description="The id of a document, or of several: what is like them is found, "
            "and they are left out."
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, value: object) -> object:
        return {"text": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        found = handler.resolve_ref_schema(handler(schema))
        return {"title": cls.__name__, "anyOf": [{"type": "string"}, found]}

    def to_query(self) -> SearchQuery:
        """The query as the pipeline takes it."""
        return SearchQuery(
            text=self.text,
            tokens=self.tokens,
            sparse=(self.sparse.indices, self.sparse.values) if self.sparse else None,
            dense=self.dense,
            like=None if self.like is None else _ids(self.like),
        )


def _ids(given: str | int | list[str | int]) -> list[str]:
    return [
        check_unicode(str(each), "id") for each in (given if isinstance(given, list) else [given])
    ]


class PrefetchBody(Body):
    """One ranking that enters the fusion."""

    using: str
    limit: int = 100
    feedback: FeedbackBody | None = None

    def to_prefetch(self) -> Prefetch:
        """The same as the pipeline takes it."""
        feedback = None if self.feedback is None else self.feedback.to_feedback()
        return Prefetch(self.using, self.limit, feedback)


class RrfBody(Body):
    """Reciprocal rank fusion: score = sum of weight / (k + rank)."""

    k: float = 60
    weights: Weights = Field(default_factory=dict)


class LinearBody(Body):
    """Weighted sum of normed scores; a norm for all rankings, or by ranking."""

    weights: Weights = Field(default_factory=dict)
    norm: Norm = "min-max"
    missing: Literal["minimum", "zero", "exact"] = "minimum"


class CombMnzBody(Body):
    """The sum of normed scores times the number of rankings that found the document."""

    weights: Weights = Field(default_factory=dict)
    norm: Norm = "min-max"


class FusionBody(Body):
    """How rankings become one: at most one of the methods, and how many results of each count."""

    rrf: RrfBody | None = None
    linear: LinearBody | None = None
    combmnz: CombMnzBody | None = None
    depth: int | None = None

    def to_fusion(self) -> Fusion | None:
        """The fusion as the pipeline takes it; None: the default of the search.

        Raises:
            InputError: there are several.
        """
        given = [name for name in ("rrf", "linear", "combmnz") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(f"the fusion names {' and '.join(given)}; give one of them")
        if self.rrf is not None:
            return ReciprocalRankFusion(self.rrf.k, self.rrf.weights)
        if self.linear is not None:
            return LinearFusion(self.linear.weights, self.linear.norm, self.linear.missing)
        if self.combmnz is not None:
            return CombMnz(self.combmnz.weights, self.combmnz.norm)
        return None


class RerankBody(Body):
    """Score the best hits anew, by a model that the server was started with, or by `field:NAME`."""

    model: str
    depth: int = DEFAULT_DEPTH
    time_budget_ms: float | None = None
    weight: float = 1.0

    def to_reranking(self, rerankers: ServedRerankers) -> Reranking:
        """The settings as the pipeline takes them.

        Raises:
            InputError: one is out of its range, or the model is none of those that are served.
        """
        model = rerankers.named(self.model)
        return Reranking(model, self.depth, self.time_budget_ms, self.weight)


class ParamsBody(Body):
    """Exact or approximate; `effort` (above 0, at most 1) and `timeout_ms` go with approximate."""

    mode: Literal["exact", "approximate"] = "exact"
    effort: float | None = None
    timeout_ms: float | None = None


class DimensionsBody(Body):
    """Documents that have phrases of the query in some dimensions join the ranking."""

    keys: Annotated[
        list[str],
        Field(max_length=MOST_KEYS, description="Metadata keys; none: all that were extracted."),
    ] = Field(default_factory=list)
    weight: float = 0.1
    similarity: Annotated[
        float | None,
        Field(description="Least cosine of like phrases, by the encoder of the dense field."),
    ] = None

    def to_dimensions(self) -> Dimensions:
        """As the pipeline takes them."""
        return Dimensions(tuple(self.keys), self.weight, self.similarity)


SEARCH_EXAMPLES: list[JsonValue] = [
    {"query": "how to copy a file", "limit": 3},
    {"query": {"tokens": {"copy": 1.5, "file": 1}}, "using": "sparse", "with_payload": True},
    {"query": {"like": "shutil"}, "filter": "lang = en"},
    {
        "query": "how to copy a file",
        "prefetch": [{"using": "sparse", "limit": 100}, {"using": "bm25", "limit": 100}],
        "fusion": {"rrf": {"k": 60, "weights": {"bm25": 0.5}}},
        "feedback": {"rocchio": {"depth": 5, "using": "sparse"}},
    },
    {
        "query": "how to copy a file",
        "facets": ["lang", {"key": "year", "over": "matching"}],
        "sort": ["year:desc", "_score"],
        "group_by": {"key": "lang", "hits": 2},
    },
    {
        "query": "how to copi a file",
        "rewrite": ["spelling"],
        "params": {"mode": "approximate", "effort": 0.5, "timeout_ms": 50},
        "explain": True,
    },
    {"query": "how to copy a file", "context_tokens": 500},
]
"""One for each thing that a search can do."""


class RankingBody(Body):
    """How documents are ranked for a query."""

    using: str | None = None
    prefetch: Annotated[list[PrefetchBody], Field(max_length=16)] = Field(default_factory=list)
    fusion: FusionBody = Field(default_factory=FusionBody)
    feedback: FeedbackBody | None = None
    dense_weight: Annotated[
        float | None,
        Field(description="What the second of the two models of a dense field counts, above 0."),
    ] = None
    tuned: Annotated[
        bool,
        Field(
            description="Whether what `lsr tune` wrote into the collection stands for what of "
            "fusion, feedback, dense_weight and effort isn't said."
        ),
    ] = True
    filter: FilterBody | None = None
    dimensions: DimensionsBody | None = None
    rerank: RerankBody | None = None
    rewrite: Annotated[
        list[str],
        Field(
            max_length=4,
            description="What rewrites the query's text first, in this order: `spelling`, and "
            "where the server has a chat endpoint `queries` or `passage` (HyDE, for a dense "
            "field). Settings follow, as in `queries,count=3`.",
            examples=[["spelling"]],
        ),
    ] = Field(default_factory=list)
    params: ParamsBody = Field(default_factory=ParamsBody)
    min_score: float | None = None

    def to_config(self, rerankers: ServedRerankers) -> SearchConfig:
        """The settings as the pipeline takes them; of models that re-rank, those that are served.

        Raises:
            InputError: a setting is out of its range, or the model is none of these.
        """
        return SearchConfig(
            using=self.using,
            min_score=self.min_score,
            prefetch=tuple(part.to_prefetch() for part in self.prefetch),
            feedback=None if self.feedback is None else self.feedback.to_feedback(),
            dense_weight=self.dense_weight,
            tuned=self.tuned,
            fusion=self.fusion.to_fusion(),
            fusion_depth=self.fusion.depth,
            filter=None if self.filter is None else parse_filter(self.filter),
            dimensions=None if self.dimensions is None else self.dimensions.to_dimensions(),
            rewrite=tuple(map(rewriter_of, self.rewrite)),
            mode=self.params.mode,
            effort=self.params.effort,
            time_budget_ms=self.params.timeout_ms,
            rerank=None if self.rerank is None else self.rerank.to_reranking(rerankers),
            # What is shown of hits costs nothing unless a body asks for it.
            payload=False,
            highlight=False,
        )


class SearchBody(RankingBody):
    """A search."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": SEARCH_EXAMPLES})

    query: QueryBody
    limit: int = 10
    offset: int = 0
    cursor: str | None = None
    context_tokens: Annotated[
        int | None,
        Field(description="Hand the best passages to a generator, about so many tokens of them."),
    ] = None
    sort: SortKeys = Field(default_factory=list)
    group_by: Annotated[
        GroupingBody | str | None, Field(description="`limit` and `offset` are in groups then.")
    ] = None
    facets: Facets = Field(default_factory=list)
    exact_total: Annotated[
        bool, Field(description="Count all that match, where that takes longer.")
    ] = False
    with_payload: Payload = Field(default=list(BRIEF))
    highlight: bool = True
    explain: bool = False

    def is_plain(self) -> bool:
        """Whether it asks for a page of hits for a text and for nothing that takes long besides."""
        text = self.query.text
        return (
            self.model_fields_set <= PLAIN
            and 0 <= self.limit + self.offset <= PLAIN_HITS
            and text is not None
            and len(text) <= PLAIN_CHARACTERS
        )

    def to_query(self) -> SearchQuery:
        """The query as the pipeline takes it."""
        return self.query.to_query()

    def to_config(self, rerankers: ServedRerankers) -> SearchConfig:
        """The rest as the pipeline takes it; see ``RankingBody``."""
        return replace(
            super().to_config(rerankers),
            limit=self.limit,
            offset=self.offset,
            sort=tuple(sort_key(each) for each in self.sort),
            group_by=grouping(self.group_by),
            facets=tuple(facet(each) for each in self.facets),
            exact_total=self.exact_total,
            payload=self.with_payload
            if isinstance(self.with_payload, bool)
            else tuple(self.with_payload),
            cursor=self.cursor,
            most_characters=MOST_CHARACTERS,
            highlight=self.highlight,
            explain=self.explain,
            context_tokens=self.context_tokens,
        )
