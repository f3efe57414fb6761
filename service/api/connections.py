"""The connections of clients: none may hold its place by doing nothing."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# Seconds that a client may take for the head of a request; for its body, and for each kilobyte
# of it more; and to take some of the answer.
HEAD_SECONDS, BODY_SECONDS, ANSWER_SECONDS = 10.0, 20.0, 20.0
BYTES_A_SECOND = 1000


class ClientConnection(H11Protocol):
    """One connection, which knows since when it waits for what of its client."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waits_since = self._answer_moved = time.monotonic()
        self._received = self._unsent = 0

    @property
    def is_idle(self) -> bool:
        """Whether no request is in flight: the head of the next may have begun."""
        return self.cycle is None or self.cycle.response_complete

    def may_go_first(self) -> tuple[bool, float]:
        """Ascends with what is lost if this idle connection is closed to make room."""
        return self.cycle is not None, self._waits_since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._waits_since = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or a body have come."""
        before = self.cycle
        self._received += len(data)
        super().data_received(data)
        if self.cycle is not before:
            self._begin()

    def on_response_complete(self) -> None:
        """An answer is written, or on its way."""
        self._begin()
        super().on_response_complete()

    def end_if_stalled(self, now: float) -> None:
        """Close the connection where its client has let the time for its part pass."""
        if self.transport is not None and self._is_stalled(now):
            self.transport.abort()

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


def make_room(connections: Iterable[object], count: int) -> int:
    """Close so many idle connections, and return how many there were.

    First go those that have asked for nothing yet, then those that have been idle longest.
    """
    idle = [
        connection
        for connection in connections
        if isinstance(connection, ClientConnection)
        and connection.is_idle
        and not connection.transport.is_closing()
    ]
    closed = heapq.nsmallest(count, idle, key=ClientConnection.may_go_first)
    for connection in closed:
        connection.transport.abort()
    return len(closed)
