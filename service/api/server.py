"""Running the application under uvicorn."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import uvicorn
from fastapi import FastAPI

from index.snapshots.address import check_store_address
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
from service.api.workers import RETIRE, SHARED_FOLDER, Workers
from service.replica.copies import Copies, State
from service.replica.generations import Generations
from service.replica.state import Replica
from service.settings import ServerSettings
from service.state.database import FILE, StateDatabase, state_file
from service.state.keys import Keys

# Connections of clients; never more than half of the descriptors that the process may have open,
# for collections need some too.
MOST_CONNECTIONS = 1024
# Seconds after the time that requests in flight may take once the server is to stop, when it ends
# whatever still runs. A write is on disk or it is not, and no answer has said that it is.
LAST_SECONDS = 4
# For which a worker that retires waits for its clients to ask again or go: longer than an idle
# connection is kept.
RETIRING_SECONDS = 10.0
# For which a thread may keep Python's interpreter from others that want it.
SWITCH_SECONDS = 0.0005
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Server:
    """A server at a socket that is bound, ready to run.

    ``served`` has the names of what it serves. ``app`` is the application of a server that is one
    process; each of several makes its own. ``copies`` are those of a replica.
    ``is_open_to_others`` says whether others than this machine reach it, and need no key.
    """

    settings: ServerSettings
    trusted: TrustedCode
    listener: Listener
    served: Indexes
    is_open_to_others: bool
    app: FastAPI | None = None
    tls: ssl.SSLContext | None = None
    copies: Copies | None = None

    @classmethod
    def listening(cls, settings: ServerSettings, trusted: TrustedCode = NO_CODE) -> Server:
        """A server over collections, at an address of its own; port 0 takes any free one.

        ``trusted`` are the models whose Python code may run.

        Raises:
            ConflictError: another replica has the folder of copies.
            InputError: a re-ranker can't be used.
            MissingDependencyError: an object store can't be spoken with.
            NotFoundError: a path, a re-ranker or a file of TLS does not exist.
            UsageError: the address is in use or not to be had, an allowed host is no name, the
                server's state can't be kept, TLS can't be spoken, or others reach a server that
                has no key.
        """
        wait_passively()
        tls = tls_context(settings)
        logs.set_up(settings)
        copies = None
        if settings.follow is not None:
            check_store_address(settings.follow)
            copies = Copies(settings.folders[0])
            copies.lock()
            settings = of_state(settings, copies.folder, copies.newest())
        served = Indexes(settings.paths, trusted)
        with closing(StateDatabase(state_path(settings, served))) as state:
            keys = Keys(state, settings.admin_token)
            require_key(settings, keys, served.folder)
            is_open = not (is_loopback(settings.host) or keys.exist())
            keys.close()
        is_one = settings.workers == 1 and copies is None
        app = create_app(settings, trusted) if is_one else None
        listener = _listen(settings.host, settings.port)
        listener.has_handshakes = tls is not None
        return cls(settings, trusted, listener, served, is_open, app, tls, copies)

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
            # Before the library that counts is imported, here and in the workers.
            os.environ[SHARED_FOLDER] = folder
            if self.copies is not None:
                self._follow(self.copies)
            else:
                self._run_workers(Path(folder))

    def _follow(self, copies: Copies) -> None:
        from service.api.metrics import forget_worker

        def serve(state: State, name: str, parent: int, on_ready: Callable[[], None]) -> None:
            replica = Replica(copies.folder, state, self.settings.writer)
            settings = of_state(self.settings, copies.folder, state)
            self._work(settings, name, parent, replica, on_ready)

        Generations(self.settings, self.trusted, copies, serve, forget_worker).run()

    def _run_workers(self, folder: Path) -> None:
        settings = self.settings
        if state_path(settings, self.served) is None:
            settings = settings.model_copy(update={"state": folder / FILE})
            # Made by one process, not by all at once.
            StateDatabase(settings.state).close()
        from service.api.metrics import forget_worker

        self.served.preload()
        parent = os.getpid()
        Workers(
            settings.workers,
            lambda place: self._work(settings, str(place), parent),
            lambda place: forget_worker(str(place)),
        ).run()

    def _work(
        self,
        settings: ServerSettings,
        name: str,
        parent: int,
        replica: Replica | None = None,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        """What a worker of this name does, until ``parent`` is gone or a signal comes."""
        if settings.metrics:
            from service.api.metrics import count_as

            count_as(name)
        app = create_app(settings, self.trusted, replica)
        _serve(app, settings, self.listener, self.tls, parent, on_ready)


def of_state(settings: ServerSettings, folder: Path, state: State) -> ServerSettings:
    """The settings of a replica, whose copies are in a folder, for one state of it."""
    return settings.model_copy(
        update={
            "paths": [copy.path for copy in state.values()],
            "state": settings.state or state_file(folder),
        }
    )


def _serve(
    app: FastAPI,
    settings: ServerSettings,
    listener: Listener,
    tls: ssl.SSLContext | None,
    parent: int | None = None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve in this process, until ``parent`` is gone or a signal comes.

    ``on_ready`` is called once connections are taken. A process that has a parent retires by
    ``RETIRE``.
    """
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
        running = _Running(config, app.state.indexes, repeated, parent, on_ready)
        if parent is not None:
            signal.signal(RETIRE, lambda *_: running.retire())
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
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._indexes, self._repeated, self._parent = indexes, repeated, parent
        self._on_ready = on_ready
        self._retires = False
        self._retired_by = math.inf

    def retire(self) -> None:
        """Take no new connections; end once those that there are have had their next answer."""
        self._retires = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        with handshakes_within(HEAD_SECONDS) if self.config.ssl else nullcontext():
            await super().startup(sockets)
        self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if counter % 10 == 0:
            end_stalled(self.server_state.connections)
        # Nobody would stop this process then, and it would keep the address.
        if self._parent is not None and os.getppid() != self._parent and not self.should_exit:
            self.handle_exit(signal.SIGTERM, None)
        if self._retires and not self.should_exit:
            self._go_on_retiring()
        return await super().on_tick(counter)

    def _go_on_retiring(self) -> None:
        now = time.monotonic()
        if self._retired_by == math.inf:
            self._retired_by = now + RETIRING_SECONDS
            for server in self.servers:
                server.close()
            # A client is told with its answer: a connection that was closed while the client
            # sends its next request would be a failure to it.
            close = (b"connection", b"close")
            self.config.encoded_headers.append(close)
            self.server_state.default_headers = [*self.server_state.default_headers, close]
        if not self.server_state.connections or now > self._retired_by:
            self.handle_exit(signal.SIGTERM, None)

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
