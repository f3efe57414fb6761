"""Keys: made, listed, revoked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from index.search.deadline import Deadline
from service.api.access import needs
from service.api.bodies import JsonRoute
from service.api.dependencies import Readers, ServedKeys, Writers
from service.api.errors import ERRORS
from service.api.schemas.keys import KeyBody, KeysAnswer, NewKeyAnswer, RevokedAnswer, key_json

router = APIRouter(
    prefix="/v1/keys", tags=["keys"], route_class=JsonRoute, dependencies=[needs("admin")]
)


@router.get("", responses=ERRORS)
async def list_keys(request: Request, keys: ServedKeys, readers: Readers) -> KeysAnswer:
    """All keys but the one of the setting `admin_key`; what they stand for is not kept."""
    return {"keys": list(map(key_json, await readers.run(request, lambda _: keys.all())))}


@router.post("", status_code=201, responses=ERRORS)
async def create_key(
    body: KeyBody, request: Request, keys: ServedKeys, writers: Writers
) -> NewKeyAnswer:
    """Make a key; once there is one, every request needs one."""
    expires = None if body.expires is None else body.expires.timestamp()

    def created(_: Deadline) -> NewKeyAnswer:
        key, token = keys.create(body.name, body.scopes, body.indexes, expires)
        return {"key": key_json(key), "token": token}

    return await writers.run(request, created)


@router.delete("/{id}", responses=ERRORS)
async def revoke_key(
    id: Annotated[str, Path(description="Of the key, as the list of keys has it")],  # noqa: A002
    request: Request,
    keys: ServedKeys,
    writers: Writers,
) -> RevokedAnswer:
    """Revoke a key: no request that begins after the answer is let in by it."""
    return {"revoked": key_json(await writers.run(request, lambda _: keys.revoke(id)))}
