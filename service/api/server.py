"""Running the application under uvicorn."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from lsr.errors import UsageError
from lsr.threads import wait_passively
from service.api.app import create_app
from service.commands import terminal


def serve(paths: Sequence[Path], host: str, port: int) -> None:
    """Serve until interrupted; SIGTERM finishes the requests in flight.

    Raises:
        NotFoundError: a path does not exist.
        UsageError: the address is in use or not to be had.
    """
    wait_passively()
    app = create_app(paths)
    listener = _listen(host, port)
    port = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    terminal.out.print(f"\nsearch page http://{shown}:{port}/ · API http://{shown}:{port}/docs")
    if not _is_loopback(host):
        terminal.err.print(
            f"listening on {host}: everyone who reaches this address can search, write and delete; "
            "put a proxy with access control in front"
        )
    if not app.state.indexes.names():
        folder = paths[0]
        terminal.out.print(
            f"no index in {folder} yet; create one with: lsr index CORPUS --into {folder}/NAME"
        )
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=30)
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio turns Nagle's algorithm off only where the protocol is named; with it on, each
        # answer waits 40 ms for the client's acknowledgement.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"can't listen on {host}:{port} ({error}); choose another with --host and --port"
        ) from error
    return listener


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
