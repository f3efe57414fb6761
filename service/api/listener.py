"""The socket that clients connect to, which never takes more of them than there is room for."""

from __future__ import annotations

import errno
import os
import socket
import weakref
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from service.api.connections import descriptors, make_room

# Connections that wait to be accepted, as the system has them; and those accepted at a time.
QUEUE, AT_A_TIME = 1024, 16
OUT_OF_DESCRIPTORS = {errno.EMFILE, errno.ENFILE}
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s"
)
BODY = (
    b'{"error":{"code":503,"type":"too_many_connections","message":"the server has as many '
    b'connections as it takes, all of them at work; try again soon","request_id":""}}'
)


class Listener(socket.socket):
    """Accepts connections up to a limit; beyond it, idle ones are closed to make room.

    Where none is idle, and where the process is out of descriptors, the client is told to come
    again. asyncio's own way with the latter is to log a traceback a thousand times a second.

    ``connections`` are those that are open, and ``limit`` how many may be. With
    ``has_handshakes`` those count too that are not open yet, for TLS isn't spoken so far.
    """

    connections: Collection[object] = ()
    limit = QUEUE
    has_handshakes = False
    _spare: int | None = None
    _places = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # With handshakes: what was accepted and isn't closed, in this order.
        self._accepted: weakref.WeakKeyDictionary[socket.socket, None]
        self._accepted = weakref.WeakKeyDictionary()

    def listen(self, _backlog: int = 0, /) -> None:
        """Let clients connect; the queue doesn't depend on how many are accepted at a time."""
        if self._spare is None:
            self._spare = os.open(os.devnull, os.O_RDONLY)
        super().listen(QUEUE)

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection that there is room for.

        Raises:
            BlockingIOError: none waits.
        """
        while True:
            try:
                accepted, address = super().accept()
            except OSError as error:
                if error.errno not in OUT_OF_DESCRIPTORS:
                    raise
                # A connection that is closed gives its descriptor back once this has returned.
                if not self._make_room(1):
                    self._refuse_with_spare()
                raise BlockingIOError from error
            if self._has_room():
                if self.has_handshakes:
                    self._accepted[accepted] = None
                return accepted, address
            _refuse(accepted)

    def close(self) -> None:
        """Take no more connections."""
        super().close()
        self._give_up_spare()

    def _has_room(self) -> bool:
        if self._count() < self.limit:
            self._places = 0
            return True
        # Several at a time: it takes a look at each connection.
        self._places = self._places or self._make_room(AT_A_TIME)
        if not self._places:
            return False
        self._places -= 1
        return True

    def _count(self) -> int:
        if not self.has_handshakes:
            return len(self.connections)
        if len(self._accepted) >= self.limit:
            for each in [each for each in self._accepted if each.fileno() < 0]:
                del self._accepted[each]
        return len(self._accepted)

    def _make_room(self, count: int) -> int:
        """Close so many connections, if as many may go; how many there were."""
        return self._end_handshakes(count) or make_room(self.connections, count)

    def _end_handshakes(self, count: int) -> int:
        """End the handshakes that have waited longest; how many there were."""
        if not self.has_handshakes:
            return 0
        spoken = descriptors(self.connections)
        waiting = [each for each in self._accepted if each.fileno() not in spoken]
        for each in waiting[:count]:
            del self._accepted[each]
            with suppress(OSError):
                # Whoever waits for it is told that the client has gone, and closes it.
                each.shutdown(socket.SHUT_RDWR)
        return len(waiting[:count])

    def _refuse_with_spare(self) -> None:
        """Turn the next client away with the descriptor that is kept for this."""
        self._give_up_spare()
        try:
            _refuse(super().accept()[0])
        finally:
            with suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY)

    def _give_up_spare(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None


def _refuse(accepted: socket.socket) -> None:
    with accepted, suppress(OSError):
        accepted.setblocking(False)
        accepted.send(REFUSAL % (len(BODY), BODY))
        accepted.shutdown(socket.SHUT_WR)
