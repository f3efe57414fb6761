"""Running the application under uvicorn."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType

import uvicorn
from fastapi import FastAPI

from lsr.descriptors import raise_descriptor_limit
from lsr.errors import UsageError
from lsr.threads import wait_passively
from lsr.trusted_code import NO_CODE, TrustedCode
from service.api.access import require_key
from service.api.app import create_app
from service.api.connections import HEAD_SECONDS, ClientConnection, end_stalled
from service.api.hosts import is_loopback
from service.api.indexes import Indexes
from service.api.listener import AT_A_TIME, Listener
from service.api.repeated_records import RepeatedRecords
from service.api.tls import handshakes_within, tls_context
from service.settings import ServerSettings
from service.state.keys import Keys

# Connections of clients; never more than half of the descriptors that the process may have open,
# for collections need some too.
MOST_CONNECTIONS = 1024
# Seconds that requests in flight may take once the server is to stop, and after which it ends
# whatever still runs. A write is on disk or it is not, and no answer has said that it is.
GRACE_SECONDS, LAST_SECONDS = 5, 9
# For which a thread may keep Python's interpreter from others that want it.
SWITCH_SECONDS = 0.0005
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Server:
    """The application at a socket that is bound, ready to run."""

    app: FastAPI
    host: str
    listener: Listener
    tls: ssl.SSLContext | None = None

    @classmethod
    def listening(cls, settings: ServerSettings, trusted: TrustedCode = NO_CODE) -> Server:
        """A server over collections, at an address of its own; port 0 takes any free one.

        ``trusted`` are the models whose Python code may run.

        Raises:
            InputError: a re-ranker can't be used.
            NotFoundError: a path, a re-ranker or a file of TLS does not exist.
            UsageError: the address is in use or not to be had, an allowed host is no name, the
                server's state can't be kept, TLS can't be spoken, or others reach a server that
                has no key.
        """
        wait_passively()
        tls = tls_context(settings)
        app = create_app(settings, trusted)
        require_key(settings, app.state.keys, app.state.indexes.folder)
        listener = _listen(settings.host, settings.port)
        listener.has_handshakes = tls is not None
        return cls(app, settings.host, listener, tls)

    @property
    def address(self) -> str:
        """The URL it answers at, without a slash at the end."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{shown}:{self.listener.getsockname()[1]}"

    @property
    def is_open_to_others(self) -> bool:
        """Whether others than this machine reach it, and need no key."""
        keys: Keys = self.app.state.keys
        return not (is_loopback(self.host) or keys.exist())

    @property
    def settings(self) -> ServerSettings:
        """What it was started with."""
        settings: ServerSettings = self.app.state.settings
        return settings

    @property
    def indexes(self) -> Indexes:
        """What it serves."""
        indexes: Indexes = self.app.state.indexes
        return indexes

    def run(self) -> None:
        """Serve until interrupted; SIGTERM finishes the requests in flight, within seconds."""
        config = uvicorn.Config(
            self.app,
            http=ClientConnection,
            ws="none",
            loop="asyncio",
            backlog=AT_A_TIME,
            log_config=None,
            access_log=False,
            proxy_headers=bool(self.settings.trusted_proxies),
            forwarded_allow_ips=self.settings.trusted_proxies,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        config.load()
        config.ssl = self.tls
        with _few_repeated_records() as repeated, _quick_turns():
            running = _Running(config, self.indexes, repeated)
            self.listener.connections = running.server_state.connections
            self.listener.limit = min(MOST_CONNECTIONS, raise_descriptor_limit() // 2)
            running.run(sockets=[self.listener])


class _Running(uvicorn.Server):
    """The server at work: looks after connections that stall, and stops in time."""

    def __init__(self, config: uvicorn.Config, indexes: Indexes, repeated: RepeatedRecords) -> None:
        super().__init__(config)
        self._indexes, self._repeated = indexes, repeated

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        with handshakes_within(HEAD_SECONDS) if self.config.ssl else nullcontext():
            await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if counter % 10 == 0:
            end_stalled(self.server_state.connections)
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, because of a signal."""
        if not self._indexes.stopping:
            self._indexes.stopping = True
            last = threading.Timer(LAST_SECONDS, _end, [sig])
            last.daemon = True
            last.start()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the requests in flight end, then the application."""
        await super().shutdown(sockets)
        for sentence in self._repeated.left_out():
            log.warning("%s", sentence)


def _end(sig: int) -> None:
    log.error("ended with requests still at work, %d s after signal %d", LAST_SECONDS, sig)
    os._exit(128 + sig)


@contextmanager
def _quick_turns() -> Iterator[None]:
    """Threads that compute give way to those that answer at once, ten times sooner than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def _few_repeated_records() -> Iterator[RepeatedRecords]:
    """Nothing is logged by the thousand inside."""
    repeated, handlers = RepeatedRecords(), list(logging.root.handlers)
    for handler in handlers:
        handler.addFilter(repeated)
    try:
        yield repeated
    finally:
        for handler in handlers:
            handler.removeFilter(repeated)


def _listen(host: str, port: int) -> Listener:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio turns Nagle's algorithm off only where the protocol is named; with it on, each
        # answer waits 40 ms for the client's acknowledgement.
        listener = Listener(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # Until it listens, another server may be bound to the same address.
        listener.listen()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"can't listen on {host}:{port} ({error}); choose another with --host and --port"
        ) from error
    return listener
