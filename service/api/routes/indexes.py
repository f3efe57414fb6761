"""What is served."""

from __future__ import annotations

from fastapi import APIRouter, Request

from index.search.deadline import Deadline
from service.api.access import Caller, needs
from service.api.bodies import JsonRoute
from service.api.dependencies import IndexName, Readers, Searches, ServedIndexes
from service.api.errors import ERRORS
from service.api.schemas.responses import IndexDetails, IndexesAnswer

router = APIRouter(prefix="/v1/indexes", tags=["indexes"], route_class=JsonRoute)


@router.get("", dependencies=[needs("search", looks_itself=True)])
async def list_indexes(
    request: Request, key: Caller, indexes: ServedIndexes, readers: Readers
) -> IndexesAnswer:
    """The indexes that the key reaches, with their fields and numbers of documents, or what is
    wrong with them.
    """
    found = await readers.run(request, lambda _: indexes.describe_all())
    return {"indexes": [each for each in found if key.reaches(each["name"])]}


@router.get("/{index}", responses=ERRORS, dependencies=[needs("search")])
async def get_index(
    index: IndexName,
    request: Request,
    indexes: ServedIndexes,
    readers: Readers,
    searching: Searches,
) -> IndexDetails:
    """One index."""

    def described(_: Deadline) -> IndexDetails:
        described = indexes.details(index)
        recall = searching.recall(indexes[index])
        if recall is not None:
            described["recall_probe"] = recall
        return described

    return await readers.run(request, described)
