"""What is served."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.dependencies import IndexName, ServedIndexes
from service.api.errors import ERRORS
from service.api.schemas.responses import IndexAnswer, IndexesAnswer

router = APIRouter(prefix="/v1/indexes", tags=["indexes"])


@router.get("")
def list_indexes(indexes: ServedIndexes) -> IndexesAnswer:
    """All indexes with their fields and numbers of documents, or what is wrong with them."""
    return {"indexes": indexes.describe_all()}


@router.get("/{index}", responses=ERRORS)
def get_index(index: IndexName, indexes: ServedIndexes) -> IndexAnswer:
    """One index."""
    return indexes.describe(index)
