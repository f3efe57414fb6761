"""Other names of indexes, which move from one index to another at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse

from lsr.errors import ConflictError, NotFoundError
from service.api.access import needs
from service.api.bodies import JsonRoute
from service.api.dependencies import Changes, Readers, Writers
from service.api.errors import ERRORS
from service.api.schemas.indexes import (
    AliasAnswer,
    AliasBody,
    AliasChangesBody,
    AliasesAnswer,
    aliases_json,
)

router = APIRouter(prefix="/v1/aliases", tags=["aliases"], route_class=JsonRoute)
AliasName = Annotated[str, Path(description="Name of the alias")]


@router.get("", dependencies=[needs("admin")])
async def list_aliases(request: Request, lifecycle: Changes, readers: Readers) -> AliasesAnswer:
    """All aliases, with the index of each."""
    return aliases_json(await readers.run(request, lambda _: dict(lifecycle.aliases)))


@router.post("", responses=ERRORS, dependencies=[needs("admin")])
async def change_aliases(
    body: AliasChangesBody, request: Request, lifecycle: Changes, writers: Writers
) -> AliasesAnswer:
    """Point aliases to indexes and remove others, all in one instant; answers with all aliases."""
    changes = {change.alias: change.index for change in body.changes}
    if len(changes) < len(body.changes):
        raise ConflictError("an alias is named twice; give each once")
    return aliases_json(await writers.run(request, lambda _: lifecycle.change_aliases(changes)))


@router.get("/{alias}", responses=ERRORS, dependencies=[needs("admin")])
async def get_alias(
    alias: AliasName, request: Request, lifecycle: Changes, readers: Readers
) -> AliasAnswer:
    """One alias."""
    index = await readers.run(request, lambda _: lifecycle.aliases.get(alias))
    if index is None:
        raise NotFoundError(f"there is no alias {alias!r}")
    return {"alias": alias, "index": index}


@router.put(
    "/{alias}",
    response_model=AliasAnswer,
    responses=ERRORS | {201: {"model": AliasAnswer, "description": "It is new."}},
    dependencies=[needs("admin")],
)
async def put_alias(
    alias: AliasName, body: AliasBody, request: Request, lifecycle: Changes, writers: Writers
) -> JSONResponse:
    """Point an alias, new or not, to an index."""

    def changed() -> bool:
        is_new = alias not in lifecycle.aliases
        lifecycle.change_aliases({alias: body.index})
        return is_new

    status = 201 if await writers.run(request, lambda _: changed()) else 200
    return JSONResponse({"alias": alias, "index": body.index}, status)


@router.delete("/{alias}", responses=ERRORS, dependencies=[needs("admin")])
async def delete_alias(
    alias: AliasName, request: Request, lifecycle: Changes, writers: Writers
) -> AliasAnswer:
    """Remove an alias; the index stays. Answers with the index that it was of."""

    def removed() -> str:
        index = lifecycle.aliases.get(alias, "")
        lifecycle.change_aliases({alias: None})
        return index

    return {"alias": alias, "index": await writers.run(request, lambda _: removed())}
