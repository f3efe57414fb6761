"""The connections of clients: none may hold its place by doing nothing."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.api.lingering import LingeringTransport

# Seconds that a client may take for the head of a request; for its body, and for each kilobyte
# of it more; and to take some of the answer.
HEAD_SECONDS, BODY_SECONDS, ANSWER_SECONDS = 10.0, 20.0, 20.0
BYTES_A_SECOND = 1000
# Bytes of a request's line and headers, those behind its body included.
LARGEST_HEAD = 64 << 10
REFUSAL = (
    b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b"
)
ERROR = b'{"error":{"code":%d,"type":"%b","message":"%b; send another request","request_id":""}}'


class ClientConnection(HttpToolsProtocol):
    """One connection, which knows since when it waits for what of its client."""

    transport: LingeringTransport

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waits_since = self._answer_moved = time.monotonic()
        self._received = self._unsent = 0
        self._head = 0
        self._in_head = True

    @property
    def is_idle(self) -> bool:
        """Whether no request is in flight: the head of the next may have begun."""
        return self.cycle is None or self.cycle.response_complete

    def may_go_first(self) -> tuple[bool, float]:
        """Ascends with what is lost if this idle connection is closed to make room."""
        return self.cycle is not None and not self.transport.lingers, self._waits_since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self.transport = LingeringTransport(transport, self._may_send)
        self._waits_since = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or a body have come."""
        if self.transport.lingers:
            self.transport.heard()
            return
        before = self.cycle
        self._received += len(data)
        super().data_received(data)
        if self.cycle is not before:
            self._begin()
        elif self._in_head and self._received > LARGEST_HEAD and not self.transport.is_closing():
            self._refuse(431, b"the head of the request is too large")

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._head, self._in_head = 0, True

    def on_url(self, url: bytes) -> None:
        """A part of the address has come."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is complete."""
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, _msg: str) -> None:
        """Refuse what is no request, or one with too large a head."""
        if self._head > LARGEST_HEAD:
            self._refuse(431, b"the head of the request is too large")
        else:
            self._refuse(400, b"this is no request of HTTP/1.1")

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > LARGEST_HEAD:
            raise ValueError("too large a head")

    def _refuse(self, status: int, message: bytes) -> None:
        kind = b"bad_request" if status == 400 else b"too_large"
        body = ERROR % (status, kind, message)
        phrase = HTTPStatus(status).phrase.encode()
        # Behind a request that is being answered, this would be taken for its answer.
        if self.is_idle or (self.cycle.more_body and not self.cycle.response_started):
            self.transport.write(REFUSAL % (status, phrase, len(body), body))
        self.transport.close()

    def on_response_complete(self) -> None:
        """An answer is written, or on its way."""
        self._begin()
        super().on_response_complete()

    def end_if_stalled(self, now: float) -> None:
        """Close the connection where its client has let the time for its part pass."""
        if self.transport is None:
            return
        ends = self.transport.has_lingered if self.transport.lingers else self._is_stalled
        if ends(now):
            self.transport.abort()

    def _may_send(self) -> bool:
        in_body = self.cycle is not None and self.cycle.more_body
        return self.is_idle and (in_body or (self._in_head and self._received > 0))

    def _begin(self) -> None:
        self._waits_since, self._received = time.monotonic(), 0

    def _is_stalled(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if unsent < self._unsent or unsent == 0:
            self._answer_moved = now
        self._unsent = unsent
        if now - self._answer_moved > ANSWER_SECONDS:
            return True
        if self.is_idle:
            return unsent == 0 and now - self._waits_since > HEAD_SECONDS
        if not self.cycle.more_body or self.flow.read_paused:
            # It is the server that is to do something.
            self._begin()
            return False
        return now - self._waits_since > BODY_SECONDS + self._received / BYTES_A_SECOND


def end_stalled(connections: Iterable[object]) -> None:
    """Close those whose clients have let their time pass; to be called every second or so."""
    now = time.monotonic()
    for connection in list(connections):
        if isinstance(connection, ClientConnection):
            connection.end_if_stalled(now)


def descriptors(connections: Iterable[object]) -> set[int]:
    """The descriptors of their sockets."""
    return {
        connection.transport.get_extra_info("socket").fileno()
        for connection in connections
        if isinstance(connection, ClientConnection) and connection.transport is not None
    }


def make_room(connections: Iterable[object], count: int) -> int:
    """Close so many idle connections, and return how many there were.

    First go those that have asked for nothing yet, then those that have been idle longest.
    """
    idle = [
        connection
        for connection in connections
        if isinstance(connection, ClientConnection)
        and connection.is_idle
        and (connection.transport.lingers or not connection.transport.is_closing())
    ]
    closed = heapq.nsmallest(count, idle, key=ClientConnection.may_go_first)
    for connection in closed:
        connection.transport.abort()
    return len(closed)
