"""Documents of an index: written, read, deleted."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from lsr.errors import NotFoundError
from service.api.bulk import FULL, bulk_upsert, nothing_written
from service.api.dependencies import IndexName, LargestBody, ServedIndexes
from service.api.errors import ERRORS, error_response
from service.api.schemas.requests import DeleteBody
from service.api.schemas.responses import (
    BulkAnswer,
    DeleteAnswer,
    DocumentAnswer,
    StorageFullBody,
    payload_json,
)

router = APIRouter(prefix="/v1/indexes/{index}/documents", tags=["documents"])
BULK_BODY = {
    "required": True,
    "content": {
        "application/x-ndjson": {"schema": {"type": "string"}},
        "application/json": {
            "schema": {"type": "array", "items": {"type": "object"}},
            "example": [{"id": "a", "title": "A title", "text": "Some text"}],
        },
    },
}


@router.post(
    "",
    response_model=BulkAnswer,
    responses=ERRORS | {507: {"model": StorageFullBody}},
    openapi_extra={"requestBody": BULK_BODY},
)
async def upsert(
    index: IndexName, request: Request, indexes: ServedIndexes, largest_body: LargestBody
) -> JSONResponse:
    """Write documents, NDJSON or a JSON array; every item gets a status of its own."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > largest_body:
            raise HTTPException(413, f"the body is larger than {largest_body} bytes; send less")
    collection = await run_in_threadpool(indexes.__getitem__, index)
    answer = await run_in_threadpool(bulk_upsert, collection, bytes(body), lambda: indexes.stopping)
    if nothing_written(answer):
        message = f"nothing was written: {FULL.reason}"
        return error_response(request, FULL.status, FULL.type, message, beside=answer)
    return JSONResponse(answer)


@router.post("/delete", responses=ERRORS)
def delete(index: IndexName, body: DeleteBody, indexes: ServedIndexes) -> DeleteAnswer:
    """Delete documents by id, or all that pass a filter; says which were there."""
    collection, wanted = indexes[index], body.to_filter()
    deleted = (
        collection.delete(body.ids or ()) if wanted is None else collection.delete_matching(wanted)
    )
    return {"deleted": len(deleted), "ids": sorted(deleted)}


@router.get("/{id:path}", responses=ERRORS)
def get(index: IndexName, id: str, indexes: ServedIndexes) -> DocumentAnswer:  # noqa: A002
    """One document."""
    document = indexes[index].get(id)
    if document is None:
        raise NotFoundError(f"the index {index!r} has no document {id!r}")
    return {"id": document.id, **payload_json(document)}


@router.delete("/{id:path}", responses=ERRORS)
def delete_one(index: IndexName, id: str, indexes: ServedIndexes) -> DeleteAnswer:  # noqa: A002
    """Delete one document."""
    if not indexes[index].delete([id]):
        raise NotFoundError(f"the index {index!r} has no document {id!r}")
    return {"deleted": 1, "ids": [id]}
