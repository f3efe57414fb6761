"""Who may ask for what: the key of a request, and the scope that each route names.

``Access`` looks at the key before anything of a request is read; ``needs`` is what a route is
given, and says which scope its key must have. ``add_routes`` takes no route that names none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.params import Security
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from lsr.errors import UsageError
from service.api.errors import REFUSALS, error_response
from service.api.hosts import is_loopback
from service.settings import ServerSettings
from service.state.keys import EVERY, Key, Keys, Scope

if TYPE_CHECKING:
    from service.api.rates import RateLimits

OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/docs", "/openapi.json", "/favicon.ico"})
OPEN_FOLDERS = ("/static/", "/docs/")
"""What anybody may see: none of it says anything of what is served."""
PROBES = frozenset({"/livez", "/readyz"})
"""What is never asked too often."""
SCHEMES = (b"bearer ", b"apikey ")
ANYBODY = Key("", "anybody", ("admin",), (EVERY,), 0.0, None, "")
"""Who asks a server without keys."""
NOBODY = Key("", "nobody", (), (), 0.0, None, "")
"""Who asks without a key for what is open."""
DESCRIPTION = (
    "A key of `lsr key create` or `POST /v1/keys`: `Authorization: Bearer KEY`, or `X-API-Key: "
    "KEY`. A server on loopback of which no key was made needs none."
)


class Access:
    """Refuses, before it is read, a request for what isn't open that has no valid key, and one of
    many.

    Args:
        app: what answers the others.
        keys: those of the server.
        without: whether none is needed as long as none was made.
        rates: how often one may ask; None: as often as one likes.
    """

    def __init__(
        self, app: ASGIApp, keys: Keys, without: bool, rates: RateLimits | None = None
    ) -> None:
        self.app = app
        self._keys = keys
        self._without = without
        self._rates = rates

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """One connection, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        key = self._key(scope)
        answer: ASGIApp | None = None
        if isinstance(key, str):
            if not is_open(scope["path"]):
                answer = _unauthorized(Request(scope), key)
            key = NOBODY
        if self._rates is not None and scope["path"] not in PROBES:
            # Refusals are counted too, and those who are past their rate aren't told of their key.
            answer = self._too_many(self._rates, scope, key) or answer
        scope.setdefault("state", {})["key"] = key
        await (answer or self.app)(scope, receive, send)

    def _too_many(self, rates: RateLimits, scope: Connection, key: Key) -> Response | None:
        """The refusal of one request of many, or None."""
        address = scope["client"][0] if scope.get("client") else ""
        past, who = rates.count_address(address), "of your address"
        if past is None and key.id:
            past, who = rates.count_key(key.id), "of this key"
        if past is None:
            return None
        message = f"too many requests {who}; allowed are {past[0]}; try again in {past[1]} s"
        headers = {"Retry-After": str(past[1])}
        return error_response(Request(scope), 429, "too_many_requests", message, headers)

    def _key(self, scope: Connection) -> Key | str:
        """The key of a request, or what is wrong with it."""
        if self._without and not self._keys.exist():
            return ANYBODY
        tokens = _tokens(scope)
        if not tokens:
            return ""
        if len(tokens) > 1:
            return "the request has several keys; give one"
        key = self._keys.find(tokens.pop().decode("latin-1"))
        if key is None:
            return "the key is none of this server's; it may have been revoked"
        return "the key has expired; ask for a new one" if key.is_expired() else key


class Needs(SecurityBase):
    """What a route asks of the key of a request: a scope, and that the key reaches the index.

    A route without ``{index}`` in its path needs a key of every index, unless ``looks_itself``
    says that it looks at what the key reaches, by ``reached``.
    """

    def __init__(self, scope: Scope, looks_itself: bool = False) -> None:
        self.model = HTTPBearer(description=DESCRIPTION)
        self.scheme_name = "key"
        self._scope, self._looks_itself = scope, looks_itself

    async def __call__(self, request: Request) -> None:
        """Refuse a key that is too narrow.

        Raises:
            HTTPException: it lacks the scope, or the index is out of its reach (403).
        """
        key = key_of(request)
        must_have(key, self._scope)
        index = request.path_params.get("index")
        if index is not None:
            must_reach(key, index)
        elif not (self._looks_itself or key.is_of_every_index):
            raise _forbidden(f"the key {key.name!r} is not of every index, which this needs")


class GuardedApp:
    """An application of its own below a path, mounted beside the routes, that needs a scope."""

    def __init__(self, app: ASGIApp, scope: Scope) -> None:
        self.app = app
        self._needs = Needs(scope, looks_itself=True)

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """One connection, as ASGI has it."""
        if scope["type"] == "http":
            await self._needs(Request(scope))
        await self.app(scope, receive, send)


def require_key(settings: ServerSettings, keys: Keys, folder: Path | None) -> None:
    """Go on if a server has a key, or may do without; ``folder`` is where its state is.

    Raises:
        UsageError: others reach it, and it has none.
    """
    if settings.needs_no_key or keys.exist():
        return
    reached = "this server by a proxy" if is_loopback(settings.host) else settings.host
    raise UsageError(
        f"others reach {reached}, and there is no key; create one with: lsr key create "
        f"{settings.state or folder or 'FILE.sqlite'} --name NAME --scope admin, or set "
        "LSR_SERVE_ADMIN_KEY; --open-to-all is for a server behind a proxy that asks who they are"
    )


def needs(scope: Scope, looks_itself: bool = False) -> Security:
    """A dependency of a route, or of a router: ``dependencies=[needs("search")]``."""
    return Security(Needs(scope, looks_itself), scopes=[scope])


def must_have(key: Key, scope: Scope) -> None:
    """Go on if a key has a scope, or one that includes it.

    Raises:
        HTTPException: it hasn't (403).
    """
    if not key.has(scope):
        message = f"the key {key.name!r} has no scope {scope!r}, which this needs"
        raise _forbidden(message, scope)


def must_reach(key: Key, index: str) -> None:
    """Go on if a key may do with an index what it may do at all.

    Raises:
        HTTPException: the index is out of its reach (403).
    """
    if not key.reaches(index):
        raise _forbidden(f"the key {key.name!r} does not reach the index {index[:100]!r}")


def key_of(request: Request) -> Key:
    """The key of a request that was let in."""
    key: Key = request.state.key
    return key


async def _caller(request: Request) -> Key:
    return key_of(request)


Caller = Annotated[Key, Depends(_caller)]
"""The key of a request, for a route that looks at what it reaches."""


def add_routes(app: FastAPI, router: APIRouter) -> None:
    """Include a router, whose routes document what is answered to a key that is refused.

    Raises:
        TypeError: a route is not open and names no scope.
    """
    asking = [route for route in router.routes if not (_is_open_route(route) or _names(route))]
    if asking:
        raise TypeError(f"{asking[0]} names no scope: give it dependencies=[needs(SCOPE)]")
    all_open = all(map(_is_open_route, router.routes))
    app.include_router(router, responses={} if all_open else REFUSALS)


def is_open(path: str) -> bool:
    """Whether anybody may ask for what is at this path."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def _is_open_route(route: BaseRoute) -> bool:
    return isinstance(route, APIRoute) and is_open(route.path)


def _names(route: BaseRoute) -> bool:
    return isinstance(route, APIRoute) and any(
        isinstance(each.dependency, Needs) for each in route.dependencies
    )


def _tokens(scope: Connection) -> set[bytes]:
    found = set()
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            found.add(value.strip())
        elif name == b"authorization" and value[:7].lower() in SCHEMES:
            found.add(value[7:].strip())
    return found - {b""}


def _unauthorized(request: Request, reason: str) -> Response:
    message = reason or "a key is needed; send it as: Authorization: Bearer KEY"
    challenge = 'Bearer realm="lsr", error="invalid_token"' if reason else 'Bearer realm="lsr"'
    return error_response(request, 401, "unauthorized", message, {"WWW-Authenticate": challenge})


def _forbidden(message: str, scope: Scope | None = None) -> HTTPException:
    named = "" if scope is None else f', scope="{scope}"'
    challenge = f'Bearer realm="lsr", error="insufficient_scope"{named}'
    return HTTPException(403, message, {"WWW-Authenticate": challenge})
