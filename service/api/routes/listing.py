"""Documents of an index, page by page or by several ids."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from index.listing import MOST_LISTED, fetch_documents, list_documents
from index.search.deadline import Deadline
from service.api.access import needs
from service.api.bodies import JsonRoute
from service.api.dependencies import IndexName, Readers, ServedIndexes
from service.api.errors import ERRORS
from service.api.parted_json import PartedJSONResponse
from service.api.schemas.body import parse_filter
from service.api.schemas.listing import (
    GetAnswer,
    GetBody,
    ListingAnswer,
    listed_json,
    parts_of,
)
from service.api.schemas.search_request import BRIEF, MOST_CHARACTERS

router = APIRouter(
    prefix="/v1/indexes/{index}/documents", tags=["documents"], route_class=JsonRoute
)


@router.get("", response_model=ListingAnswer, responses=ERRORS, dependencies=[needs("search")])
async def list_all(
    index: IndexName,
    request: Request,
    indexes: ServedIndexes,
    readers: Readers,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100,
    cursor: Annotated[str | None, Query(description="As the page before has it.")] = None,
    filter: Annotated[  # noqa: A002
        str | None,
        Query(description="As a text, as in `lang = en and year >= 2000`."),
    ] = None,
    with_payload: Annotated[
        str, Query(description="true, false, or parts with commas, as for a search.")
    ] = ",".join(BRIEF),
) -> JSONResponse:
    """The documents in the order of writing, a page at a time.

    A walk by cursor sees each document that stays as it is exactly once, whatever is written
    meanwhile. One that is written anew comes at its new place, behind all others.
    """

    def answer(_: Deadline) -> JSONResponse:
        wanted = None if filter is None else parse_filter(filter)
        parts = parts_of(with_payload)
        page = list_documents(indexes[index], limit, cursor, wanted, MOST_CHARACTERS)
        body: ListingAnswer = {
            "documents": listed_json(page.documents, parts),
            "total": page.total,
        }
        if page.cursor is not None:
            body["cursor"] = page.cursor
        return PartedJSONResponse(body)

    return await readers.run(request, answer)


@router.post("/get", response_model=GetAnswer, responses=ERRORS, dependencies=[needs("search")])
async def get_several(
    index: IndexName, body: GetBody, request: Request, indexes: ServedIndexes, readers: Readers
) -> JSONResponse:
    """Several documents by id."""

    def answer(_: Deadline) -> JSONResponse:
        ids = body.to_ids()
        found = fetch_documents(indexes[index], ids, MOST_CHARACTERS)
        return PartedJSONResponse(
            {
                "documents": listed_json(found, body.with_payload),
                "missing": [identifier for identifier in ids if identifier not in found],
            }
        )

    return await readers.run(request, answer)
