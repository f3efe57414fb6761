"""Documents of an index: written, read, deleted."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.convertors import Convertor, register_url_convertor

from index.collection.writable import Writable
from index.indexing import Outcome
from index.patching import patch_document
from index.search.deadline import Deadline
from lsr.errors import InputError, NotFoundError
from service.api.access import needs
from service.api.bodies import JsonRoute, read_body
from service.api.bulk import FULL, PARSING, all_decided, bulk_upsert, nothing_written
from service.api.bulk_items import parse_items
from service.api.dependencies import (
    CHANGES_INDEXES,
    IndexName,
    LargestBody,
    Readers,
    ServedIndexes,
    Tasking,
    Writers,
)
from service.api.document_versions import Conditions, GivenConditions, versioned
from service.api.errors import ERRORS, error_response, failures
from service.api.idempotent import Idempotency, IdempotencyKey, once
from service.api.parted_json import PartedJSONResponse
from service.api.schemas.declared import declared
from service.api.schemas.requests import DeleteBody, PatchBody
from service.api.schemas.responses import (
    BulkAnswer,
    DeleteAnswer,
    DocumentAnswer,
    PatchAnswer,
    StorageFullBody,
    payload_json,
)
from service.api.schemas.tasks import TaskAnswer, task_json

router = APIRouter(
    prefix="/v1/indexes/{index}/documents", tags=["documents"], route_class=JsonRoute
)
BODY_ERRORS = failures(415)
"""What a route declares of a body that it can't inflate."""
CONDITION_ERRORS = failures(412)
KNOWN: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"schema": {"type": "string"}, "description": "Of the version."}}},
    304: {"description": "The document is of a version that If-None-Match names."},
}
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
    responses=ERRORS
    | BODY_ERRORS
    | {
        202: declared(TaskAnswer, description="On disk; a task writes them (wait=false)."),
        507: {"model": StorageFullBody},
    },
    openapi_extra={"requestBody": BULK_BODY},
    dependencies=[needs("write"), CHANGES_INDEXES],
)
async def upsert(
    index: IndexName,
    request: Request,
    indexes: ServedIndexes,
    writers: Writers,
    largest_body: LargestBody,
    keys: Idempotency,
    tasking: Tasking,
    idempotency_key: IdempotencyKey = None,
    wait: Annotated[
        bool,
        Query(
            description="false: answer 202 with a task as soon as the documents are on disk; it "
            "writes them later, over what was written meanwhile."
        ),
    ] = True,
) -> Response:
    """Write documents, NDJSON or a JSON array; every item gets a status of its own."""
    body = await read_body(request, largest_body)

    def left_to_a_task(_: Deadline) -> tuple[Response, bool]:
        with PARSING:
            parse_items(body)
        task = tasking.enqueue_body("bulk", indexes.resolved(index), body)
        return JSONResponse(task_json(task), 202), True

    def written(_: Deadline) -> tuple[Response, bool]:
        answer = bulk_upsert(indexes[index], body, lambda: indexes.stopping)
        if nothing_written(answer):
            message = f"nothing was written: {FULL.reason}"
            full = error_response(request, FULL.status, FULL.type, message, beside=answer)
            return full, False
        return PartedJSONResponse(answer), all_decided(answer)

    def write() -> Awaitable[tuple[Response, bool]]:
        return writers.run(request, written if wait else left_to_a_task)

    return await once(keys, idempotency_key, request, body, write)


@router.post(
    "/delete",
    response_model=DeleteAnswer,
    responses=ERRORS | BODY_ERRORS,
    dependencies=[needs("write"), CHANGES_INDEXES],
)
async def delete(
    index: IndexName,
    body: DeleteBody,
    request: Request,
    indexes: ServedIndexes,
    writers: Writers,
    keys: Idempotency,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Delete documents by id, or all that pass a filter; says which were there."""

    def deleted(deadline: Deadline) -> tuple[Response, bool]:
        wanted = body.to_filter()
        ids = (
            indexes[index].delete(body.to_ids())
            if wanted is None
            else indexes[index].delete_matching(wanted)
        )
        return JSONResponse({"deleted": len(ids), "ids": sorted(ids)}), True

    def delete() -> Awaitable[tuple[Response, bool]]:
        return writers.run(request, deleted)

    return await once(keys, idempotency_key, request, await request.body(), delete)


@router.get(
    "/{id:document_id}",
    response_model=DocumentAnswer,
    responses=ERRORS | CONDITION_ERRORS | KNOWN,
    dependencies=[needs("search")],
)
async def get(
    index: IndexName,
    id: str,  # noqa: A002
    request: Request,
    response: Response,
    indexes: ServedIndexes,
    readers: Readers,
    conditions: GivenConditions,
) -> DocumentAnswer | Response:
    """One document; its version is in the header ETag."""
    found = await readers.run(request, lambda _: versioned(indexes[index], id))
    conditions.check_match(None if found is None else found[1])
    if found is None:
        raise NotFoundError(f"the index {index!r} has no document {id!r}")
    document, tag = found
    if conditions.is_known(tag):
        return Response(status_code=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return {"id": document.id, **payload_json(document)}


@router.patch(
    "/{id:document_id}",
    responses=ERRORS | CONDITION_ERRORS | BODY_ERRORS,
    dependencies=[needs("write"), CHANGES_INDEXES],
)
async def patch(
    index: IndexName,
    id: str,  # noqa: A002
    body: PatchBody,
    request: Request,
    response: Response,
    indexes: ServedIndexes,
    writers: Writers,
    conditions: GivenConditions,
) -> PatchAnswer:
    """Change a part of a document; metadata alone is changed without encoding.

    The version that it has then is in the header ETag.
    """
    change = body.to_patch()

    def changed(_: Deadline) -> tuple[Outcome, str]:
        collection = indexes[index]
        with collection.writing():
            _check(collection, id, conditions)
            outcome = patch_document(collection, id, change)
            now = versioned(collection, id)
        return outcome, "" if now is None else now[1]

    outcome, response.headers["ETag"] = await writers.run(request, changed)
    if outcome.status not in ("updated", "unchanged"):
        raise InputError(outcome.reason)
    return {"id": id, "result": outcome.status}


@router.delete(
    "/{id:document_id}",
    responses=ERRORS | CONDITION_ERRORS,
    dependencies=[needs("write"), CHANGES_INDEXES],
)
async def delete_one(
    index: IndexName,
    id: str,  # noqa: A002
    request: Request,
    indexes: ServedIndexes,
    writers: Writers,
    conditions: GivenConditions,
) -> DeleteAnswer:
    """Delete one document."""

    def deleted(_: Deadline) -> set[str]:
        collection = indexes[index]
        if not conditions.any:
            return collection.delete([id])
        with collection.writing():
            _check(collection, id, conditions)
            return collection.delete([id])

    if not await writers.run(request, deleted):
        raise NotFoundError(f"the index {index!r} has no document {id!r}")
    return {"deleted": 1, "ids": [id]}


def _check(collection: Writable, identifier: str, conditions: Conditions) -> None:
    """Refuse a write to another version than the one that a request is for."""
    if conditions.any:
        found = versioned(collection, identifier)
        conditions.check(None if found is None else found[1])
