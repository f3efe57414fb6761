"""Running the application under uvicorn."""

from __future__ import annotations

import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import uvicorn
from fastapi import FastAPI

from lsr.descriptors import raise_descriptor_limit
from lsr.errors import UsageError
from lsr.threads import wait_passively
from lsr.trusted_code import NO_CODE, TrustedCode
from service import logs
from service.api.access import require_key
from service.api.app import create_app, state_path
from service.api.connections import HEAD_SECONDS, ClientConnection, end_stalled
from service.api.hosts import is_loopback
from service.api.indexes import Indexes
from service.api.listener import AT_A_TIME, Listener
from service.api.repeated_records import RepeatedRecords
from service.api.tls import handshakes_within, tls_context
from service.api.workers import SHARED_FOLDER, Workers
from service.settings import ServerSettings
from service.state.database import FILE, StateDatabase
from service.state.keys import Keys

# Connections of clients; never more than half of the descriptors that the process may have open,
# for collections need some too.
MOST_CONNECTIONS = 1024
# Seconds after the time that requests in flight may take once the server is to stop, when it ends
# whatever still runs. A write is on disk or it is not, and no answer has said that it is.
LAST_SECONDS = 4
# For which a thread may keep Python's interpreter from others that want it.
SWITCH_SECONDS = 0.0005
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Server:
    """A server at a socket that is bound, ready to run.

    ``served`` has the names of what it serves. ``app`` is the application of a server that is one
    process; each of several makes its own. ``is_open_to_others`` says whether others than this
    machine reach it, and need no key.
    """

    settings: ServerSettings
    trusted: TrustedCode
    listener: Listener
    served: Indexes
    is_open_to_others: bool
    app: FastAPI | None = None
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
        logs.set_up(settings)
        served = Indexes(settings.paths, trusted)
        with closing(StateDatabase(state_path(settings, served))) as state:
            keys = Keys(state, settings.admin_token)
            require_key(settings, keys, served.folder)
            is_open = not (is_loopback(settings.host) or keys.exist())
            keys.close()
        app = create_app(settings, trusted) if settings.workers == 1 else None
        listener = _listen(settings.host, settings.port)
        listener.has_handshakes = tls is not None
        return cls(settings, trusted, listener, served, is_open, app, tls)

    @property
    def address(self) -> str:
        """The URL it answers at, without a slash at the end."""
        host = self.settings.host
        shown = f"[{host}]" if ":" in host else host
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{shown}:{self.listener.getsockname()[1]}"

    def run(self) -> None:
        """Serve until interrupted; SIGTERM finishes the requests in flight, within seconds.

        Raises:
            LsrError: of several processes, none can serve.
        """
        if self.app is not None:
            _serve(self.app, self.settings, self.listener, self.tls)
            return
        with TemporaryDirectory() as folder:
            self._run_workers(Path(folder))

    def _run_workers(self, folder: Path) -> None:
        settings = self.settings
        if state_path(settings, self.served) is None:
            settings = settings.model_copy(update={"state": folder / FILE})
            # Made by one process, not by all at once.
            StateDatabase(settings.state).close()
        # Before the library that counts is imported, here and in the workers.
        os.environ[SHARED_FOLDER] = str(folder)
        from service.api.metrics import forget_worker

        self.served.preload()
        parent = os.getpid()

        def work() -> None:
            app = create_app(settings, self.trusted)
            _serve(app, settings, self.listener, self.tls, parent)

        Workers(settings.workers, work, forget_worker).run()


def _serve(
    app: FastAPI,
    settings: ServerSettings,
    listener: Listener,
    tls: ssl.SSLContext | None,
    parent: int | None = None,
) -> None:
    """Serve in this process, until ``parent`` is gone or a signal comes."""
    config = uvicorn.Config(
        app,
        http=ClientConnection,
        ws="none",
        loop="asyncio",
        # One of several processes leaves the next connection to those that have less to do.
        backlog=AT_A_TIME if settings.workers == 1 else 1,
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    config.load()
    config.ssl = tls
    with _few_repeated_records() as repeated, _quick_turns():
        running = _Running(config, app.state.indexes, repeated, parent)
        listener.connections = running.server_state.connections
        app.state.monitoring.connections = running.server_state.connections
        listener.limit = min(MOST_CONNECTIONS, raise_descriptor_limit() // 2)
        running.run(sockets=[listener])


class _Running(uvicorn.Server):
    """The server at work: looks after connections that stall, and stops in time."""

    def __init__(
        self,
        config: uvicorn.Config,
        indexes: Indexes,
        repeated: RepeatedRecords,
        parent: int | None,
    ) -> None:
        super().__init__(config)
        self._indexes, self._repeated, self._parent = indexes, repeated, parent

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        with handshakes_within(HEAD_SECONDS) if self.config.ssl else nullcontext():
            await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if counter % 10 == 0:
            end_stalled(self.server_state.connections)
        # Nobody would stop this process then, and it would keep the address.
        if self._parent is not None and os.getppid() != self._parent and not self.should_exit:
            self.handle_exit(signal.SIGTERM, None)
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, because of a signal."""
        if not self._indexes.stopping:
            self._indexes.stopping = True
            seconds = (self.config.timeout_graceful_shutdown or 0) + LAST_SECONDS
            last = threading.Timer(seconds, _end, [sig, seconds])
            last.daemon = True
            last.start()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the requests in flight end, then the application."""
        await super().shutdown(sockets)
        for sentence in self._repeated.left_out():
            log.warning("%s", sentence)


def _end(sig: int, seconds: int) -> None:
    log.error("ended with requests still at work, %d s after signal %d", seconds, sig)
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
