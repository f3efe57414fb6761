"""What holds for every request: its id, host and origin, its bytes, and headers of safety."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.bodies import METER, BodyBudget, BodyMeter, too_large
from service.api.errors import error_response, request_id
from service.api.hosts import AllowedHosts, is_own_origin
from service.api.origins import AllowedOrigins

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Swagger UI sets styles, and has images in its style sheet.
DOCS_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
# A year: browsers then ask by TLS only.
ONLY_TLS = {"Strict-Transport-Security": "max-age=31536000"}
LONGEST_LENGTH = 18
"""Digits of a Content-Length that is believed to be a number."""


class Frame:
    """Refuses what was sent to another host or by a page of another site, and counts the bytes of
    bodies as they come, those of one request and of all together; adds the headers.

    It wraps the application's messages and nothing else, for a small part of the time that a
    middleware of requests and responses takes.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: AllowedHosts,
        largest_body: int,
        budget: BodyBudget,
        origins: AllowedOrigins,
        tls: bool,
    ) -> None:
        self.app = app
        self.hosts = hosts
        self.origins = origins
        self._headers = SECURITY_HEADERS | (ONLY_TLS if tls else {})
        self.largest_body = largest_body
        self.budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        headers = {"X-Request-ID": request_id(request), **self._headers}
        if scope["path"].startswith("/docs"):
            headers["Content-Security-Policy"] = DOCS_POLICY

        async def send_framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                answered.update(headers)
                if self.origins:
                    self.origins.add_to(answered, request.headers.get("origin"))
            await send(message)

        meter = scope[METER] = BodyMeter(self.budget, self.largest_body)

        async def receive_counted() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                meter.add(len(message.get("body", b"")))
            return message

        answer = self._refusal(request) or self.app
        try:
            await answer(scope, receive_counted, send_framed)
        finally:
            meter.close()

    def _refusal(self, request: Request) -> Response | None:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self.hosts.allows(hosts[0]):
            given = f"the host {hosts[0][:100]!r}" if len(hosts) == 1 else f"{len(hosts)} hosts"
            message = (
                f"the request names {given}, to which this server does not answer; ask for "
                "localhost or for the address that it listens on, or start it with --allow-host "
                "NAME for another name"
            )
            return error_response(request, 421, "wrong_host", message)
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and (len(length) > LONGEST_LENGTH or int(length) > self.largest_body):
            error = too_large(self.largest_body)
            return error_response(request, 413, "too_large", str(error.detail), error.headers)
        origins = request.headers.getlist("origin")
        scheme = request.scope["scheme"]
        if not all(is_own_origin(o, scheme, hosts[0]) or self.origins.allows(o) for o in origins):
            message = (
                "requests of pages from other sites are refused; call from this server's page, or "
                "start it with --allow-origin ORIGIN for those of another site"
            )
            return error_response(request, 403, "forbidden", message)
        return self.origins.preflight(request) if self.origins else None
