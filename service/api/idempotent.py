"""Writes that are done once, however often they are sent with one Idempotency-Key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Header, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from service.api.work import BUSY
from service.state.idempotency import IdempotencyKeys, Kept, digest_of

LONGEST_KEY = 255
KEY = "idempotency-key"
# What says who a client is; a key of one is none of another.
CREDENTIALS = ("authorization", "x-api-key")
REPLAYED = "Idempotency-Replayed"
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=LONGEST_KEY,
        description="Any name of this write that the client has given to no other. The same "
        "request with the same key is not done again: it gets the answer of the first, for 24 "
        f"hours, with {REPLAYED}: true.",
    ),
]


async def _keys(request: Request) -> IdempotencyKeys:
    keys: IdempotencyKeys = request.app.state.idempotency
    return keys


Idempotency = Annotated[IdempotencyKeys, Depends(_keys)]


async def once(
    keys: IdempotencyKeys,
    name: str | None,
    request: Request,
    body: bytes | bytearray,
    answer: Callable[[], Awaitable[tuple[Response, bool]]],
) -> Response:
    """The answer to a request, or the one that it was given before.

    Args:
        keys: what is known of such requests.
        name: the key of the request; None: it has none, and is answered each time.
        request: which.
        body: what it brought, as it was before any compression.
        answer: makes the answer, and says whether it is kept: another try could not end better.

    Raises:
        HTTPException: the key came with another request before (422), or the request is still
            being answered (409).
    """
    if name is None:
        return (await answer())[0]
    who = [request.headers.get(each, "").encode() for each in CREDENTIALS]
    place = f"{request.method} {request.scope['path']}".encode()
    key = digest_of(*who, place, name.encode())
    asked = digest_of(request.scope["query_string"], body)
    found = await run_in_threadpool(keys.claim, key, asked)
    if isinstance(found, Kept):
        headers = {REPLAYED: "true"}
        return Response(found.body, found.status, headers, media_type="application/json")
    if found == "other":
        raise HTTPException(
            422, "the Idempotency-Key came with another body before; give each write its own"
        )
    if found == "running":
        message = "the request with this Idempotency-Key is still at work; try again in a second"
        raise HTTPException(409, message, BUSY)
    kept = False
    try:
        response, is_final = await answer()
        if is_final:
            await run_in_threadpool(keys.keep, key, response.status_code, bytes(response.body))
            kept = True
        return response
    finally:
        if not kept:
            await run_in_threadpool(keys.release, key)
