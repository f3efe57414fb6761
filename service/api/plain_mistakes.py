"""Mistakes that are easily made in a request, answered in plain words."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from fastapi import HTTPException, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
LONGEST_SHOWN = 100
DOCUMENT_IDS = "/documents/"


def unknown_name(name: str, known: Collection[str], what: str) -> str:
    """A sentence about a name that isn't known, with the nearest that is, and all that are."""
    near = get_close_matches(name[:LONGEST_SHOWN], known, n=1)
    meant = f", did you mean {near[0]!r}?" if near else ";"
    allowed = f"allowed are {', '.join(known)}" if known else "none is allowed"
    return f"{what} {name[:LONGEST_SHOWN]!r} is not known here{meant} {allowed}"


def takes_body(route: APIRoute) -> bool:
    """Whether a route reads the body of a request, as JSON or by itself."""
    return route.body_field is not None or "requestBody" in (route.openapi_extra or {})


def parameters_of(dependant: Dependant) -> list[str]:
    """The names of what a route takes in the address behind the question mark."""
    own = [field.alias for field in dependant.query_params]
    return own + [name for each in dependant.dependencies for name in parameters_of(each)]


def check_parameters(request: Request, known: Collection[str]) -> None:
    """Refuse parameters in the address that a route doesn't know.

    Raises:
        HTTPException: there is one (422).
    """
    for name in request.query_params:
        if name not in known:
            reason = unknown_name(name, known, "the parameter")
            raise HTTPException(422, f"{reason}; other options stand in the body of a request")


def check_bodiless(request: Request) -> None:
    """Refuse the body of a request to a route that takes none.

    Raises:
        HTTPException: there is one (400).
    """
    length = request.headers.get("content-length", "0")
    if length.strip("0") or "transfer-encoding" in request.headers:
        raise HTTPException(
            400,
            f"a {request.method} of {request.scope['path']} takes no body; send none, and what is "
            "asked for in the address",
        )


def methods_of(request: Request) -> list[str]:
    """The methods that are for the path of a request."""
    scope = request.scope
    return [
        method
        for method in METHODS
        if any(
            route.matches({**scope, "method": method})[0] == Match.FULL
            for route in request.app.routes
        )
    ]


class TrailingSlash:
    """Takes a path with a slash at its end for the same without it.

    The id of a document is taken as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, as ASGI has it."""
        path: str = scope.get("path", "")
        if path.endswith("/") and path.startswith("/v1/"):
            _, ids, rest = path.partition(DOCUMENT_IDS)
            if not ids or not rest:
                scope = {**scope, "path": path.rstrip("/")}
        await self.app(scope, receive, send)
