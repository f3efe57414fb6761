"""Answers compressed where the client asks for it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SMALLEST = 1024
"""Bytes of a body that is worth it."""
LARGE = 1 << 18
"""Bytes that are compressed in a thread, for they would keep the event loop from others."""
LEVEL = 1
# zlib's numbers for the header of gzip, and for its own.
WINDOW = {"gzip": 31, "deflate": 15}
TYPES = re.compile("text/|application/(json|javascript|x-ndjson)|image/svg")
# Answers with a key in them, of which their size would tell a bit.
UNTOUCHED = "/v1/keys"


class Compressed:
    """Compresses the bodies of answers, by gzip or deflate, whichever the client would rather have.

    One that comes in parts is compressed part by part.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, as ASGI has it."""
        if scope["type"] != "http" or scope["path"].startswith(UNTOUCHED):
            await self.app(scope, receive, send)
            return
        encoding = asked_for(Headers(scope=scope).get("accept-encoding", ""))
        await self.app(scope, receive, _Sender(send, encoding).send)


class _Sender:
    def __init__(self, send: Send, encoding: str | None) -> None:
        self._send, self._encoding = send, encoding
        self._start: Message | None = None
        self._compress: Callable[[bytes, bool], bytes] | None = None

    async def send(self, message: Message) -> None:
        """Send a message of the application, compressed where it is a body."""
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] != "http.response.body":
            await self._begin(message)
            await self._send(message)
        elif self._start is not None:
            body, more = message.get("body", b""), message.get("more_body", False)
            if self._is_worth_it(self._start, body, more):
                await self._send_first(self._start, body, more)
            else:
                await self._begin(message)
                await self._send(message)
        elif self._compress is not None:
            body, more = message.get("body", b""), message.get("more_body", False)
            body = await run_in_threadpool(self._compress, body, not more)
            await self._send({"type": "http.response.body", "body": body, "more_body": more})
        else:
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            await self._send(start)

    def _is_worth_it(self, start: Message, body: bytes, more: bool) -> bool:
        headers = MutableHeaders(scope=start)
        if not TYPES.match(headers.get("content-type", "")) or {
            "content-encoding",
            "content-range",
        } & set(headers.keys()):
            return False
        headers.add_vary_header("Accept-Encoding")
        return self._encoding is not None and (more or len(body) >= SMALLEST)

    async def _send_first(self, start: Message, body: bytes, more: bool) -> None:
        assert self._encoding is not None
        self._start = None
        headers = MutableHeaders(scope=start)
        headers["Content-Encoding"] = self._encoding
        self._compress = _compressor(self._encoding)
        if more:
            body = await run_in_threadpool(self._compress, body, False)
            del headers["Content-Length"]
        else:
            body = (
                await run_in_threadpool(self._compress, body, True)
                if len(body) > LARGE
                else self._compress(body, True)
            )
            headers["Content-Length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def asked_for(header: str) -> str | None:
    """The encoding that an Accept-Encoding would rather have; None: no compression."""
    weights: dict[str, float] = {}
    for part in header.lower().split(",")[:20]:
        name, _, parameter = part.strip().partition(";")
        weights[name.strip()] = _weight(parameter)
    known = {name: weights.get(name, weights.get("*", 0.0)) for name in WINDOW}
    best = max(known, key=lambda name: known[name])
    return best if known[best] > 0 and known[best] >= weights.get("identity", 0.0) else None


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


def _compressor(encoding: str) -> Callable[[bytes, bool], bytes]:
    compressing: Any = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW[encoding])

    def compress(body: bytes, last: bool) -> bytes:
        found: bytes = compressing.compress(body)
        ending: bytes = compressing.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
        return found + ending

    return compress
