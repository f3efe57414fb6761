"""What is served."""

from __future__ import annotations

from fastapi import APIRouter, Request

from index.search.deadline import Deadline
from service.api.bodies import JsonRoute
from service.api.dependencies import IndexName, Readers, ServedIndexes
from service.api.errors import ERRORS
from service.api.schemas.responses import IndexDetails, IndexesAnswer

router = APIRouter(prefix="/v1/indexes", tags=["indexes"], route_class=JsonRoute)


@router.get("")
async def list_indexes(request: Request, indexes: ServedIndexes, readers: Readers) -> IndexesAnswer:
    """All indexes with their fields and numbers of documents, or what is wrong with them."""
    return {"indexes": await readers.run(request, lambda _: indexes.describe_all())}


@router.get("/{index}", responses=ERRORS)
async def get_index(
    index: IndexName, request: Request, indexes: ServedIndexes, readers: Readers
) -> IndexDetails:
    """One index."""

    def described(_: Deadline) -> IndexDetails:
        return {**indexes.describe(index), "metadata": indexes.describe_metadata(index)}

    return await readers.run(request, described)
