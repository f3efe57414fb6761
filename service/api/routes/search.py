"""Searches."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from index.search.pipeline import search
from service.api.dependencies import IndexName, ServedIndexes
from service.api.errors import ERRORS
from service.api.schemas.requests import SearchBody
from service.api.schemas.responses import SearchAnswer, search_json

router = APIRouter(prefix="/v1/indexes/{index}", tags=["search"])


# A response, not its body, so that hits are not validated one by one.
@router.post("/search", response_model=SearchAnswer, responses=ERRORS)
def search_index(index: IndexName, body: SearchBody, indexes: ServedIndexes) -> JSONResponse:
    """The documents that answer a query best."""
    result = search(indexes[index], body.to_query(), body.to_config())
    return JSONResponse(search_json(result, body.explain))
