"""What holds for every request: its id, its largest size, its origin, and headers of safety."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import Response

from service.api.errors import error_response, request_id

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def add_middleware(app: FastAPI, largest_body: int) -> None:
    """Refuse bodies of more bytes and requests of other sites, and frame every answer."""

    @app.middleware("http")
    async def frame(request: Request, call_next: Any) -> Response:
        identifier = request_id(request)
        length = request.headers.get("content-length", "0")
        response: Response
        if length.isdigit() and int(length) > largest_body:
            message = f"the body has {length} bytes; allowed are {largest_body}; send less at once"
            response = error_response(request, 413, "too_large", message)
        elif _from_another_site(request):
            message = "requests of pages from other sites are refused; call from this server's page"
            response = error_response(request, 403, "forbidden", message)
        else:
            response = await call_next(request)
        response.headers["X-Request-ID"] = identifier
        if not request.url.path.startswith(("/docs", "/openapi.json")):
            response.headers.update(SECURITY_HEADERS)
        return response


def _from_another_site(request: Request) -> bool:
    """Whether a browser sent this for a page that is not of this server."""
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")
