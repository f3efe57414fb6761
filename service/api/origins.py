"""Pages of other sites that may ask the server: none but those that are named."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import MutableHeaders

from lsr.errors import UsageError
from service.api.hosts import split_origin

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
SENT = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-API-Key, "
    "X-Request-ID, traceparent, tracestate"
)
SEEN = "ETag, Location, Retry-After, WWW-Authenticate, X-Request-ID"
"""Headers of answers that a page may read beside those that it always may."""
PREFLIGHT_SECONDS = 600


class AllowedOrigins:
    """The origins (scheme, name and port) of pages of other sites that may ask.

    Cookies and other credentials of a browser are never asked for: a page has to send a key.

    Raises:
        UsageError: one is no origin.
    """

    def __init__(self, origins: Iterable[str] = ()) -> None:
        self._allowed = {_checked(origin) for origin in origins}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._allowed)

    def allows(self, origin: str) -> bool:
        """Whether an Origin is one of these; ``null`` and what is malformed never are."""
        return bool(self._allowed) and split_origin(origin) in self._allowed

    def preflight(self, request: Request) -> Response | None:
        """The answer to a browser that asks whether a page may ask, or None: it doesn't."""
        origin = request.headers.get("origin", "")
        asks = request.method == "OPTIONS" and "access-control-request-method" in request.headers
        if not (asks and self.allows(origin)):
            return None
        return Response(
            status_code=204,
            headers={
                "Access-Control-Allow-Methods": METHODS,
                "Access-Control-Allow-Headers": SENT,
                "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
            },
        )

    def add_to(self, headers: MutableHeaders, origin: str | None) -> None:
        """Say in an answer that the page of this origin may read it."""
        headers.add_vary_header("Origin")
        if origin is not None and self.allows(origin):
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = SEEN


def _checked(origin: str) -> tuple[str, str, int]:
    split = split_origin(origin)
    if split is None:
        raise UsageError(
            f"the allowed origin {origin!r} is none; give scheme, name and port of a site, as in "
            "https://www.example.org"
        )
    return split
