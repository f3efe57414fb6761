"""What holds for every request: its id, its largest size, its origin, and headers of safety."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import error_response, request_id

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Frame:
    """Refuses bodies of more than so many bytes and requests of other sites; adds the headers.

    It wraps the application's messages and nothing else, for a small part of the time that a
    middleware of requests and responses takes.
    """

    def __init__(self, app: ASGIApp, largest_body: int) -> None:
        self.app = app
        self.largest_body = largest_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        headers = {"X-Request-ID": request_id(request)}
        if not request.url.path.startswith(("/docs", "/openapi.json")):
            headers |= SECURITY_HEADERS

        async def send_framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        answer = self._refusal(request) or self.app
        await answer(scope, receive, send_framed)

    def _refusal(self, request: Request) -> Response | None:
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > self.largest_body:
            message = (
                f"the body has {length} bytes; allowed are {self.largest_body}; send less at once"
            )
            return error_response(request, 413, "too_large", message)
        if _from_another_site(request):
            message = "requests of pages from other sites are refused; call from this server's page"
            return error_response(request, 403, "forbidden", message)
        return None


def _from_another_site(request: Request) -> bool:
    """Whether a browser sent this for a page that is not of this server."""
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")
