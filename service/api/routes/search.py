"""Searches."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from index.search.arranging import count_in_collection
from index.search.deadline import Deadline
from index.search.explanation import explain_document
from lsr.threads import sharing_cores
from service.api.access import needs
from service.api.bodies import DirectRoute, JsonRoute
from service.api.dependencies import IndexName, Readers, Searches, ServedIndexes
from service.api.errors import ERRORS
from service.api.indexes import Indexes
from service.api.parted_json import PartedJSONResponse
from service.api.query_cache import may_be_kept
from service.api.schemas.explanation import ExplainAnswer, ExplainBody, explanation_json
from service.api.schemas.facets import FacetsAnswer, FacetsBody, facets_json
from service.api.schemas.search_answer import SearchAnswer
from service.api.schemas.search_batch import BatchAnswer, BatchBody
from service.api.schemas.search_json import search_json
from service.api.schemas.search_request import SearchBody
from service.api.searches import Searched, answer_searches
from service.api.searching import Searching
from service.api.work import Work

router = APIRouter(
    prefix="/v1/indexes/{index}",
    tags=["search"],
    route_class=JsonRoute,
    dependencies=[needs("search")],
)
direct = APIRouter(
    prefix=router.prefix,
    tags=["search"],
    route_class=DirectRoute,
    dependencies=[needs("search")],
)


# A response, not its body, so that hits are not validated one by one.
@direct.post("/search", response_model=SearchAnswer, responses=ERRORS)
async def search_index(index: IndexName, body: SearchBody, request: Request) -> Response:
    """The documents that answer a query best."""
    indexes: Indexes = request.app.state.indexes
    readers: Work = request.app.state.readers
    searching: Searching = request.app.state.searching
    asked = bytes(await request.body())
    at_hand = indexes.at_hand(index) if body.is_plain() else None

    def answer(deadline: Deadline) -> Response:
        collection = indexes[index] if at_hand is None else at_hand
        query = body.to_query()

        def fresh() -> tuple[SearchAnswer, bool]:
            config = body.to_config(indexes.rerankers)
            result = searching.search(request, collection, query, config, deadline)
            answer = search_json(result, body.explain, config, indexes.snapshot(index))
            return answer, may_be_kept(config, result)

        return searching.answer(request, collection, query, asked, fresh)

    if at_hand is not None:
        return await readers.run_brief(request, answer, (index, body.using))
    return await readers.run(request, answer)


@router.post("/search/batch", response_model=BatchAnswer, responses=ERRORS)
async def search_several(
    index: IndexName,
    body: BatchBody,
    request: Request,
    indexes: ServedIndexes,
    readers: Readers,
    searching: Searches,
) -> JSONResponse:
    """Several searches at once, each with an answer or an error of its own."""

    def answer(deadline: Deadline) -> JSONResponse:
        started = time.perf_counter()
        searched = Searched(indexes[index], indexes.snapshot(index))
        answers = answer_searches(
            request, searching, searched, body.given, indexes.rerankers, deadline
        )
        took = 1000 * (time.perf_counter() - started)
        return PartedJSONResponse({"took_ms": round(took, 3), "answers": answers})

    return await readers.run(request, answer)


@router.post("/explain", response_model=ExplainAnswer, responses=ERRORS)
async def explain(
    index: IndexName, body: ExplainBody, request: Request, indexes: ServedIndexes, readers: Readers
) -> JSONResponse:
    """Why a document stands where it does in the answer to a query."""

    def answer(deadline: Deadline) -> JSONResponse:
        config = body.to_config(indexes.rerankers)
        with sharing_cores():
            found = explain_document(
                indexes[index], body.query.to_query(), body.to_id(), config, body.depth, deadline
            )
        return PartedJSONResponse(explanation_json(found))

    return await readers.run(request, answer)


@router.post("/facets", response_model=FacetsAnswer, responses=ERRORS)
async def count_facets(
    index: IndexName,
    body: FacetsBody,
    request: Request,
    indexes: ServedIndexes,
    readers: Readers,
    searching: Searches,
) -> JSONResponse:
    """How many documents have each value of some metadata keys."""

    def answer(deadline: Deadline) -> JSONResponse:
        started = time.perf_counter()
        query, config = body.to_query(), body.to_config()
        if query is not None:
            result = searching.search(request, indexes[index], query, config, deadline)
            counted, warnings = result.facets, result.warnings
        else:
            counted, warnings = count_in_collection(indexes[index], config)
        took = 1000 * (time.perf_counter() - started)
        return PartedJSONResponse(facets_json(counted, warnings, took))

    return await readers.run(request, answer)
