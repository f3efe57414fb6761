"""Searches."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from index.search.deadline import Deadline
from index.search.pipeline import search
from service.api.bodies import JsonRoute
from service.api.dependencies import IndexName, Readers, ServedIndexes
from service.api.errors import ERRORS
from service.api.parted_json import PartedJSONResponse
from service.api.schemas.search_answer import SearchAnswer, search_json
from service.api.schemas.search_request import SearchBody

router = APIRouter(prefix="/v1/indexes/{index}", tags=["search"], route_class=JsonRoute)


# A response, not its body, so that hits are not validated one by one.
@router.post("/search", response_model=SearchAnswer, responses=ERRORS)
async def search_index(
    index: IndexName, body: SearchBody, request: Request, indexes: ServedIndexes, readers: Readers
) -> JSONResponse:
    """The documents that answer a query best."""

    def answer(deadline: Deadline) -> JSONResponse:
        result = search(indexes[index], body.to_query(), body.to_config(), deadline)
        return PartedJSONResponse(search_json(result, body.explain))

    return await readers.run(request, answer)
