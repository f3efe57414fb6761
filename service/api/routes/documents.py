"""Documents of an index: written, read, deleted."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from index.patching import patch_document
from lsr.errors import InputError, NotFoundError
from service.api.bulk import bulk_upsert
from service.api.dependencies import IndexName, LargestBody, ServedIndexes
from service.api.errors import ERRORS
from service.api.schemas.requests import DeleteBody, PatchBody
from service.api.schemas.responses import (
    BulkAnswer,
    DeleteAnswer,
    DocumentAnswer,
    PatchAnswer,
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
    "", response_model=BulkAnswer, responses=ERRORS, openapi_extra={"requestBody": BULK_BODY}
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
    return JSONResponse(await run_in_threadpool(bulk_upsert, collection, bytes(body)))


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


@router.patch("/{id:path}", responses=ERRORS)
def patch(index: IndexName, id: str, body: PatchBody, indexes: ServedIndexes) -> PatchAnswer:  # noqa: A002
    """Change a part of a document; metadata alone is changed without encoding."""
    outcome = patch_document(indexes[index], id, body.to_patch())
    if outcome.status not in ("updated", "unchanged"):
        raise InputError(outcome.reason)
    return {"id": id, "result": outcome.status}


@router.delete("/{id:path}", responses=ERRORS)
def delete_one(index: IndexName, id: str, indexes: ServedIndexes) -> DeleteAnswer:  # noqa: A002
    """Delete one document."""
    if not indexes[index].delete([id]):
        raise NotFoundError(f"the index {index!r} has no document {id!r}")
    return {"deleted": 1, "ids": [id]}
