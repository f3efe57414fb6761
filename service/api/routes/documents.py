"""Documents of an index: written, read, deleted."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.convertors import Convertor, register_url_convertor

from index.patching import patch_document
from index.search.deadline import Deadline
from lsr.errors import InputError, NotFoundError
from service.api.access import needs
from service.api.bodies import JsonRoute, read_body
from service.api.bulk import FULL, bulk_upsert, nothing_written
from service.api.dependencies import IndexName, LargestBody, Readers, ServedIndexes, Writers
from service.api.errors import ERRORS, error_response
from service.api.parted_json import PartedJSONResponse
from service.api.schemas.requests import DeleteBody, PatchBody
from service.api.schemas.responses import (
    BulkAnswer,
    DeleteAnswer,
    DocumentAnswer,
    PatchAnswer,
    StorageFullBody,
    payload_json,
)

router = APIRouter(
    prefix="/v1/indexes/{index}/documents", tags=["documents"], route_class=JsonRoute
)
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


class _DocumentId(Convertor[str]):
    """The rest of a path whatever it holds, line breaks included."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("document_id", _DocumentId())


@router.post(
    "",
    response_model=BulkAnswer,
    responses=ERRORS | {507: {"model": StorageFullBody}},
    openapi_extra={"requestBody": BULK_BODY},
    dependencies=[needs("write")],
)
async def upsert(
    index: IndexName,
    request: Request,
    indexes: ServedIndexes,
    writers: Writers,
    largest_body: LargestBody,
) -> JSONResponse:
    """Write documents, NDJSON or a JSON array; every item gets a status of its own."""
    body = await read_body(request, largest_body)

    def written(_: Deadline) -> JSONResponse:
        answer = bulk_upsert(indexes[index], body, lambda: indexes.stopping)
        if nothing_written(answer):
            message = f"nothing was written: {FULL.reason}"
            return error_response(request, FULL.status, FULL.type, message, beside=answer)
        return PartedJSONResponse(answer)

    return await writers.run(request, written)


@router.post("/delete", responses=ERRORS, dependencies=[needs("write")])
async def delete(
    index: IndexName, body: DeleteBody, request: Request, indexes: ServedIndexes, writers: Writers
) -> DeleteAnswer:
    """Delete documents by id, or all that pass a filter; says which were there."""

    def deleted(deadline: Deadline) -> set[str]:
        wanted = body.to_filter()
        if wanted is None:
            return indexes[index].delete(body.to_ids())
        return indexes[index].delete_matching(wanted)

    ids = await writers.run(request, deleted)
    return {"deleted": len(ids), "ids": sorted(ids)}


@router.get("/{id:document_id}", responses=ERRORS, dependencies=[needs("search")])
async def get(
    index: IndexName,
    id: str,  # noqa: A002
    request: Request,
    indexes: ServedIndexes,
    readers: Readers,
) -> DocumentAnswer:
    """One document."""
    document = await readers.run(request, lambda _: indexes[index].get(id))
    if document is None:
        raise NotFoundError(f"the index {index!r} has no document {id!r}")
    return {"id": document.id, **payload_json(document)}


@router.patch("/{id:document_id}", responses=ERRORS, dependencies=[needs("write")])
async def patch(
    index: IndexName,
    id: str,  # noqa: A002
    body: PatchBody,
    request: Request,
    indexes: ServedIndexes,
    writers: Writers,
) -> PatchAnswer:
    """Change a part of a document; metadata alone is changed without encoding."""
    change = body.to_patch()
    outcome = await writers.run(request, lambda _: patch_document(indexes[index], id, change))
    if outcome.status not in ("updated", "unchanged"):
        raise InputError(outcome.reason)
    return {"id": id, "result": outcome.status}


@router.delete("/{id:document_id}", responses=ERRORS, dependencies=[needs("write")])
async def delete_one(
    index: IndexName,
    id: str,  # noqa: A002
    request: Request,
    indexes: ServedIndexes,
    writers: Writers,
) -> DeleteAnswer:
    """Delete one document."""
    if not await writers.run(request, lambda _: indexes[index].delete([id])):
        raise NotFoundError(f"the index {index!r} has no document {id!r}")
    return {"deleted": 1, "ids": [id]}
