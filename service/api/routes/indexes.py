"""What is served."""

from __future__ import annotations

from fastapi import APIRouter, Request

from index.search.deadline import Deadline
from service.api.dependencies import IndexName, Readers, ServedIndexes
from service.api.errors import ERRORS
from service.api.schemas.responses import IndexAnswer, IndexesAnswer

router = APIRouter(prefix="/v1/indexes", tags=["indexes"])


@router.get("")
async def list_indexes(request: Request, indexes: ServedIndexes, readers: Readers) -> IndexesAnswer:
    """All indexes with their fields and numbers of documents."""

    def described(deadline: Deadline) -> list[IndexAnswer]:
        return [indexes.describe(name) for name in indexes.names()]

    return {"indexes": await readers.run(request, described)}


@router.get("/{index}", responses=ERRORS)
async def get_index(
    index: IndexName, request: Request, indexes: ServedIndexes, readers: Readers
) -> IndexAnswer:
    """One index."""
    return await readers.run(request, lambda _: indexes.describe(index))
