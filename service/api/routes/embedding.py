"""Texts as sparse vectors."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic_core import to_json

from index.search.deadline import Deadline
from index.search.embedding import embed_texts
from lsr.errors import InputError, UsageError
from lsr.threads import sharing_cores
from service.api.access import Caller, must_reach, needs
from service.api.bodies import JsonRoute
from service.api.dependencies import Readers, ServedIndexes
from service.api.errors import ERRORS
from service.api.indexes import Indexes
from service.api.schemas.embedding import EmbedBody, TermWeight, embedded_json

router = APIRouter(prefix="/v1", tags=["encoders"], route_class=JsonRoute)


@router.post(
    "/embed_sparse",
    response_model=list[list[TermWeight]],
    responses=ERRORS,
    dependencies=[needs("search", looks_itself=True)],
)
async def embed_sparse(
    body: EmbedBody,
    request: Request,
    key: Caller,
    indexes: ServedIndexes,
    readers: Readers,
    index: Annotated[
        str | None, Query(description="Whose encoder, where the body doesn't name it.")
    ] = None,
) -> Response:
    """Texts as the sparse vectors of an index, in the shape of text-embeddings-inference."""

    def answer(_: Deadline) -> Response:
        name = _index(indexes, body.index, index)
        must_reach(key, name)
        with sharing_cores():
            found = embed_texts(
                indexes[name], body.to_texts(), body.of_queries(), body.using, body.truncate
            )
        shown = embedded_json(found, body.tokens)
        return Response(to_json(shown), media_type="application/json")

    return await readers.run(request, answer)


def _index(indexes: Indexes, in_body: str | None, in_address: str | None) -> str:
    """The name of the index that is asked for.

    Raises:
        InputError: body and address name different ones.
        UsageError: none is named, and there is not exactly one.
    """
    if in_body is not None and in_address is not None and in_body != in_address:
        raise InputError(f"the body names the index {in_body!r}, the address another; give one")
    named = in_body if in_body is not None else in_address
    if named is not None:
        return named
    names = indexes.names()
    if len(names) != 1:
        raise UsageError('the index is not named; give one, as in {"index": "NAME"}')
    return names[0]
