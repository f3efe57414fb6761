"""Bulk upsert over HTTP: every item gets its own status, and the good ones are written."""

from __future__ import annotations

import time
from typing import Literal

from index.collection.collection import Collection
from index.indexing import upsert_documents
from lsr.corpus.documents import Document
from lsr.errors import InputError
from service.api.bulk_items import parse_items
from service.api.schemas.responses import BulkAnswer, ItemError, RejectedItem, WrittenItem

CHUNK = 256
STATUS: dict[str, Literal[200, 201]] = {"created": 201, "updated": 200, "unchanged": 200}


def bulk_upsert(collection: Collection, body: bytes | bytearray) -> BulkAnswer:
    """Write the documents of a request body.

    Args:
        collection: where to.
        body: a JSON array of documents, or NDJSON with one a line; see ``parse_items``.

    Returns:
        What became of each item, in the body's order.

    Raises:
        InputError: the body holds no document or too many, or is an array that is no JSON.
    """
    started = time.perf_counter()
    items = parse_items(body)
    first: dict[str, int] = {}
    good: list[tuple[int, Document]] = []
    results: dict[int, WrittenItem | RejectedItem] = {}
    for place, item in enumerate(items):
        if isinstance(item, InputError):
            results[place] = _failure(None, place, str(item))
        elif item.id in first:
            reason = f"the id {item.id!r} was given before, as item {first[item.id] + 1}"
            results[place] = _failure(item.id, place, reason)
        else:
            first[item.id] = place
            good.append((place, item))
    for start in range(0, len(good), CHUNK):
        part = good[start : start + CHUNK]
        outcomes = upsert_documents(collection, [document for _, document in part])
        for (place, _), outcome in zip(part, outcomes, strict=True):
            if outcome.status == "rejected":
                results[place] = _failure(outcome.id, place, outcome.reason)
                continue
            results[place] = {
                "id": outcome.id,
                "status": STATUS[outcome.status],
                "result": outcome.status,
            }
    return {
        "took_ms": round(1000 * (time.perf_counter() - started), 3),
        "errors": any("error" in result for result in results.values()),
        "items": [results[place] for place in range(len(items))],
    }


def _failure(identifier: str | None, place: int, reason: str) -> RejectedItem:
    message = f"item {place + 1}: {reason}"
    error: ItemError = {"type": "invalid_document", "message": message}
    return {"id": identifier, "status": 422, "error": error}
