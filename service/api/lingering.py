"""The end of a connection whose client may still be sending."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

# Seconds after the answer in which bytes are still taken, and how long none need come.
LINGER_SECONDS, SILENT_SECONDS = 30.0, 5.0


class LingeringTransport(asyncio.Transport):
    """A transport that, when it is closed, first takes and throws away what its client still sends.

    To close a socket with unread bytes resets the connection, and the reset can overtake the
    answer: a client, or a proxy, in the middle of a body then sees a broken pipe and no 413.

    Args:
        transport: The transport of the socket.
        may_send: Whether the client may be in the middle of a request, asked when it is closed.
    """

    def __init__(self, transport: asyncio.Transport, may_send: Callable[[], bool]) -> None:
        super().__init__()
        self._transport = transport
        self._may_send = may_send
        self._since: float | None = None
        self._heard = 0.0

    @property
    def lingers(self) -> bool:
        """Whether it is closed for those who write, and bytes that come are to be thrown away."""
        return self._since is not None

    def close(self) -> None:
        """Close it, at once or as soon as the client has ended; a second time: at once."""
        if self.lingers or self._transport.is_closing() or not self._may_send():
            self._transport.close()
            return
        self._since = self._heard = time.monotonic()
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def heard(self) -> None:
        """Take note that bytes came and were thrown away."""
        self._heard = time.monotonic()

    def has_lingered(self, now: float) -> bool:
        """Whether it has lingered long enough."""
        if self._since is None:
            return False
        return now - self._since > LINGER_SECONDS or now - self._heard > SILENT_SECONDS

    def is_closing(self) -> bool:
        """Whether nothing more is to be written."""
        return self.lingers or self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send bytes."""
        self._transport.write(data)

    def abort(self) -> None:
        """Close it at once."""
        self._transport.abort()

    def pause_reading(self) -> None:
        """Let bytes wait in the socket."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Bytes that wait to be sent."""
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the socket."""
        return self._transport.get_extra_info(name, default)
