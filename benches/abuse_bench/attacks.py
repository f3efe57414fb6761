"""Clients that abuse a server, each kind in a process of its own."""

from __future__ import annotations

import json
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.synchronize import Event

HEAD = b"POST /v1/indexes/made/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
CONNECTIONS, IDLE = 200, 1500
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"
# Words of the long texts of the collection, in plenty of their places.
BOMB = {"query": {"text": "boom bang crash boom"}, "limit": 100, "explain": True}


def attack_slow_heads(port: int, stop: Event) -> None:
    """200 connections whose heads come a byte a second."""
    held: list[socket.socket] = []
    line = HEAD % b"search" + b"X-Slow: " + b"a" * 10_000
    turn = 0
    while not stop.is_set():
        with suppress(OSError):
            while len(held) < CONNECTIONS:
                held.append(connect(port))
        for connection in list(held):
            try:
                connection.sendall(line[turn % len(line) :][:1])
            except OSError:
                connection.close()
                held.remove(connection)
        turn += 1
        stop.wait(1.0)


def attack_idle_flood(port: int, stop: Event) -> None:
    """1,500 connections that ask for nothing, opened again as they are closed."""
    held: list[socket.socket] = []
    while not stop.is_set():
        for _ in range(50):
            with suppress(OSError):
                held.append(connect(port))
        while len(held) > IDLE:
            held.pop(0).close()
        stop.wait(0.05)


def attack_chunked_giants(port: int, stop: Event) -> None:
    """Bodies without a length that never end, to every route that takes one."""
    routes = (b"search", b"documents", b"documents/delete", b"documents")

    def send(route: bytes) -> None:
        with connect(port) as connection:
            connection.sendall(HEAD % route + b"Transfer-Encoding: chunked\r\n\r\n")
            while not stop.is_set():
                connection.sendall(CHUNK)

    repeat_in_threads(stop, [lambda route=route: send(route) for route in routes])


def attack_deep_json(port: int, stop: Event) -> None:
    """Nested arrays and objects, as searches, as items of a bulk and as their metadata."""
    arrays = b"[" * 1_000_000
    nested = b'{"query":' * 100_000
    item = b'[{"id": "a", "text": "b", "deep": ' + b"[" * 500_000 + b"]" * 500_000 + b"}]"
    bodies = (
        (b"search", nested),
        (b"search", arrays),
        (b"documents", arrays),
        (b"documents", item),
    )
    repeat_in_threads(stop, [lambda each=each: post(port, *each) for each in bodies])


def attack_wide_bulks(port: int, stop: Event) -> None:
    """Bulks of 4 MB that are two million items, or one item of two million values."""
    zeros = b"[" + b"0," * 2_000_000 + b"0]"
    one = b'{"id": "a", "text": "b", "wide": ' + zeros + b"}"
    lines = b"0\n" * 2_000_000
    repeat_in_threads(
        stop, [lambda body=body: post(port, b"documents", body) for body in (zeros, one, lines)]
    )


def attack_highlights(port: int, stop: Event) -> None:
    """Searches for 100 documents of 50 kB each, all of whose words are to be marked."""
    body = json.dumps(BOMB).encode()
    repeat_in_threads(stop, [lambda: post(port, b"search", body)] * 8)


def attack_all(port: int, stop: Event) -> None:
    """All of them at once."""
    threads = [
        threading.Thread(target=attack, args=(port, stop), daemon=True)
        for name, attack in ATTACKS.items()
        if attack is not attack_all
    ]
    for thread in threads:
        thread.start()
    stop.wait()


ATTACKS: dict[str, Callable[[int, Event], None]] = {
    "slow heads": attack_slow_heads,
    "idle flood": attack_idle_flood,
    "chunked giants": attack_chunked_giants,
    "deep JSON": attack_deep_json,
    "wide bulks": attack_wide_bulks,
    "highlight bombs": attack_highlights,
    "all at once": attack_all,
}


@contextmanager
def attacking(name: str, port: int) -> Iterator[None]:
    """The attack goes on inside."""
    context = multiprocessing.get_context("spawn")
    stop, begun = context.Event(), context.Event()
    process = context.Process(target=_attack, args=(name, port, stop, begun), daemon=True)
    process.start()
    if not begun.wait(60):
        raise RuntimeError(f"the abuse {name!r} did not begin")
    try:
        yield
    finally:
        stop.set()
        process.join(1)
        process.kill()
        process.join()


def _attack(name: str, port: int, stop: Event, begun: Event) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    begun.set()
    ATTACKS[name](port, stop)


def connect(port: int) -> socket.socket:
    """A connection to the server."""
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def post(port: int, route: bytes, body: bytes) -> None:
    """Send a request and read all of the answer."""
    with connect(port) as connection:
        head = HEAD % route + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        with suppress(ConnectionError):
            connection.sendall(head + body)
        while connection.recv(1 << 16):
            pass


def repeat_in_threads(stop: Event, actions: Sequence[Callable[[], None]]) -> None:
    """Do each of these again and again, whatever becomes of it, until it is over."""

    def repeat(action: Callable[[], None]) -> None:
        while not stop.is_set():
            with suppress(OSError):
                action()
            # A client that is refused at once is no busier than others.
            time.sleep(0.01)

    threads = [threading.Thread(target=repeat, args=(action,), daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    stop.wait()
