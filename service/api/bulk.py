"""Bulk upsert over HTTP: every item gets its own status, and the good ones are written."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from index.collection.writable import Writable
from index.indexing import Outcome, upsert_documents
from lsr.corpus.documents import Document
from lsr.errors import InputError, LockedError, StorageFullError
from lsr.threads import beside_searches
from service.api.bulk_items import parse_items
from service.api.schemas.responses import (
    BulkAnswer,
    FailedItem,
    FailureType,
    ItemError,
    RejectedItem,
    WrittenItem,
)

# Documents and characters of a chunk, which is one transaction. It is small: others write between
# two chunks, and a server that is to stop waits for one.
CHUNK, CHUNK_CHARACTERS = 64, 1_000_000
STATUS: dict[str, Literal[200, 201]] = {"created": 201, "updated": 200, "unchanged": 200}
# Python parses in one thread at a time; were several to try, all others would wait for each.
PARSING = threading.Lock()
log = logging.getLogger(__name__)


class Failure(NamedTuple):
    """Why the rest of a request isn't written, though nothing is wrong with its items."""

    status: Literal[500, 503, 507]
    type: FailureType
    reason: str


STOPPING = Failure(
    503, "stopping", "the server is stopping; send the item again once it is there again"
)
FULL = Failure(
    507, "storage_full", "the server's disk is full; free space there and send the item again"
)
LOCKED = Failure(
    503, "locked", "the index is being written to, or was just replaced; send the item again"
)
FAILED = Failure(
    500, "failed", "the write failed, and the server's log has the reason; send the item again"
)


def bulk_upsert(
    collection: Writable, body: bytes | bytearray, stopping: Callable[[], bool] = lambda: False
) -> BulkAnswer:
    """Write the documents of a request body, a chunk after the other.

    Args:
        collection: where to.
        body: a JSON array of documents, or NDJSON with one a line; see ``parse_items``.
        stopping: asked before each chunk but the first; once true, the others are not written.

    Returns:
        What became of each item, in the body's order. Where a chunk can't be written, its items
        and those after it have the reason.

    Raises:
        InputError: the body holds no document or too many, or is an array that is no JSON.
        LsrError: the first chunk can't be written, for another reason than a full disk.
    """
    started = time.perf_counter()
    with PARSING:
        items = parse_items(body)
    first: dict[str, int] = {}
    good: list[tuple[int, Document]] = []
    results: dict[int, WrittenItem | RejectedItem | FailedItem] = {}
    for place, item in enumerate(items):
        if isinstance(item, InputError):
            results[place] = _rejected(None, place, str(item))
        elif item.id in first:
            reason = f"the id {item.id!r} was given before, as item {first[item.id] + 1}"
            results[place] = _rejected(item.id, place, reason)
        else:
            first[item.id] = place
            good.append((place, item))
    failure: Failure | None = None
    for start, end in _chunks([document for _, document in good]):
        part = good[start:end]
        if failure is None and start and stopping():
            failure = STOPPING
        if failure is None:
            try:
                with beside_searches():
                    outcomes = upsert_documents(collection, [document for _, document in part])
                results |= _written(part, outcomes)
            except Exception as error:
                failure = _failure_of(error)
                if start == 0 and failure is not FULL:
                    raise
                told = error if failure is FAILED else None
                log.error("a part of a bulk upsert was not written: %s", error, exc_info=told)
        if failure is not None:
            results |= {place: _failed(failure, document.id, place) for place, document in part}
    return {
        "took_ms": round(1000 * (time.perf_counter() - started), 3),
        "errors": any("error" in result for result in results.values()),
        "items": [results[place] for place in range(len(items))],
    }


def nothing_written(answer: BulkAnswer) -> bool:
    """Whether the disk was full before any item of a request was written."""
    statuses = {item["status"] for item in answer["items"]}
    return FULL.status in statuses and not statuses & {200, 201}


def all_decided(answer: BulkAnswer) -> bool:
    """Whether another try could store no more: no item failed on the server."""
    return all(item["status"] in (200, 201, 422) for item in answer["items"])


def _chunks(documents: Sequence[Document]) -> Iterator[tuple[int, int]]:
    """Start and end of each chunk."""
    start = characters = 0
    for end, document in enumerate(documents, 1):
        characters += len(document.text)
        if end - start == CHUNK or characters >= CHUNK_CHARACTERS or end == len(documents):
            yield start, end
            start, characters = end, 0


def _failure_of(error: Exception) -> Failure:
    if isinstance(error, StorageFullError):
        return FULL
    return LOCKED if isinstance(error, LockedError) else FAILED


def _written(
    part: Sequence[tuple[int, Document]], outcomes: Sequence[Outcome]
) -> dict[int, WrittenItem | RejectedItem | FailedItem]:
    results: dict[int, WrittenItem | RejectedItem | FailedItem] = {}
    for (place, _), outcome in zip(part, outcomes, strict=True):
        if outcome.status == "rejected":
            results[place] = _rejected(outcome.id, place, outcome.reason)
            continue
        results[place] = {
            "id": outcome.id,
            "status": STATUS[outcome.status],
            "result": outcome.status,
        }
    return results


def _failed(failure: Failure, identifier: str, place: int) -> FailedItem:
    return {
        "id": identifier,
        "status": failure.status,
        "error": {"type": failure.type, "message": f"item {place + 1}: {failure.reason}"},
    }


def _rejected(identifier: str | None, place: int, reason: str) -> RejectedItem:
    message = f"item {place + 1}: {reason}"
    error: ItemError = {"type": "invalid_document", "message": message}
    return {"id": identifier, "status": 422, "error": error}
