"""Indexes made, changed and deleted."""

from __future__ import annotations

from collections.abc import Awaitable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from index.search.deadline import Deadline
from index.search.defaults import change_defaults
from service.api.access import needs
from service.api.bodies import JsonRoute
from service.api.dependencies import (
    CHANGES_INDEXES,
    Changes,
    Encoders,
    IndexName,
    ServedIndexes,
    Writers,
)
from service.api.errors import ERRORS
from service.api.idempotent import Idempotency, IdempotencyKey, once
from service.api.index_details import index_details
from service.api.schemas.indexes import ChangeIndexBody, DeletedIndexAnswer, NewIndexBody
from service.api.schemas.responses import IndexDetails

router = APIRouter(prefix="/v1/indexes/{index}", tags=["indexes"], route_class=JsonRoute)
# Without a body, all is as by default.
NO_SETTINGS = NewIndexBody()


@router.put(
    "",
    status_code=201,
    response_model=IndexDetails,
    responses=ERRORS,
    dependencies=[needs("admin"), CHANGES_INDEXES],
)
async def create_index(
    index: IndexName,
    request: Request,
    lifecycle: Changes,
    encoders: Encoders,
    writers: Writers,
    keys: Idempotency,
    body: NewIndexBody = NO_SETTINGS,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make an index, without documents, in the first folder that the server serves.

    It appears whole or not at all; of two requests for one name, one gets 409.
    """

    def created(_: Deadline) -> tuple[Response, bool]:
        lifecycle.create(
            index,
            None if body.encoder is None else encoders.named(body.encoder),
            None if body.dense is None else encoders.named(body.dense),
            body.bm25,
            body.language,
            body.passages,
        )
        return JSONResponse(index_details(lifecycle.indexes, index), 201), True

    def create() -> Awaitable[tuple[Response, bool]]:
        return writers.run(request, created)

    return await once(keys, idempotency_key, request, await request.body(), create)


@router.patch("", responses=ERRORS, dependencies=[needs("admin"), CHANGES_INDEXES])
async def change_index(
    index: IndexName,
    body: ChangeIndexBody,
    request: Request,
    indexes: ServedIndexes,
    writers: Writers,
) -> IndexDetails:
    """Change how an index is searched where a search doesn't say, as `lsr tune` does."""

    def changed(_: Deadline) -> IndexDetails:
        changes = {
            using: None if given is None else given.given()
            for using, given in body.search_defaults.items()
        }
        change_defaults(indexes[index], changes)
        return index_details(indexes, index)

    return await writers.run(request, changed)


@router.delete("", responses=ERRORS, dependencies=[needs("admin"), CHANGES_INDEXES])
async def delete_index(
    index: IndexName, request: Request, lifecycle: Changes, writers: Writers
) -> DeletedIndexAnswer:
    """Delete an index with all its documents and aliases; its tasks are canceled.

    It is gone in one instant. Its snapshots stay.
    """
    await writers.run(request, lambda _: lifecycle.delete(index))
    return {"name": index, "deleted": True}
