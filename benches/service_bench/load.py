"""Clients of a server, in a process of their own: each asks again as soon as it has an answer.

Read from standard input is ``{"port", "path", "bodies", "connections", "seconds"}`` as JSON, and
written to standard output ``{"ms", "errors", "seconds"}``: the milliseconds of each request that
was answered 200, in the order of the answers, how many others there were, and how long it took.
It imports nothing but the standard library: what it does between two requests, the server waits.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from itertools import cycle
from typing import Any

RECEIVED = 1 << 18


class Connection:
    """One connection that is kept, with at most one request in flight."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._wanted = 0
        self._begun = 0.0

    def ask(self, request: bytes) -> None:
        self._received.clear()
        self._wanted = 0
        self._begun = time.perf_counter()
        self.socket.sendall(request)

    def answer(self) -> tuple[bool, float] | None:
        """Whether it was 200, and its milliseconds, once all of it is there."""
        part = self.socket.recv(RECEIVED)
        if not part:
            raise ConnectionError("the server closed a connection")
        self._received += part
        if not self._wanted:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return None
            head = self._received[:end].lower()
            length = head.split(b"content-length:")[1].split(b"\r\n")[0]
            self._wanted = end + 4 + int(length)
        if len(self._received) < self._wanted:
            return None
        return self._received[9:12] == b"200", 1000 * (time.perf_counter() - self._begun)


def load(port: int, path: str, bodies: list[str], connections: int, seconds: float) -> Any:
    """Ask for so long, the bodies in turn."""
    requests = cycle([_request(port, path, body.encode()) for body in bodies])
    milliseconds, errors = [], 0
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = Connection(port)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    begun = time.perf_counter()
    for key in selector.get_map().values():
        key.data.ask(next(requests))
    while (now := time.perf_counter()) - begun < seconds:
        for key, _ in selector.select(1):
            answered = key.data.answer()
            if answered is None:
                continue
            good, taken = answered
            milliseconds += [taken] if good else []
            errors += not good
            key.data.ask(next(requests))
    return {"ms": milliseconds, "errors": errors, "seconds": now - begun}


def _request(port: int, path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    json.dump(load(**json.load(sys.stdin)), sys.stdout)
