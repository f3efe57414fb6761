"""Running the application under uvicorn."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from lsr.errors import UsageError
from lsr.threads import wait_passively
from lsr.trusted_code import NO_CODE, TrustedCode
from service.api.app import create_app
from service.api.indexes import Indexes


@dataclass(frozen=True)
class Server:
    """The application at a socket that is bound, ready to run."""

    app: FastAPI
    host: str
    listener: socket.socket

    @classmethod
    def listening(
        cls, paths: Sequence[Path], host: str, port: int, trusted: TrustedCode = NO_CODE
    ) -> Server:
        """A server over collections, at an address of its own; port 0 takes any free one.

        ``trusted`` are the models whose Python code may run.

        Raises:
            NotFoundError: a path does not exist.
            UsageError: the address is in use or not to be had.
        """
        wait_passively()
        return cls(create_app(paths, trusted=trusted), host, _listen(host, port))

    @property
    def address(self) -> str:
        """The URL it answers at, without a slash at the end."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{shown}:{self.listener.getsockname()[1]}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def indexes(self) -> Indexes:
        """What it serves."""
        indexes: Indexes = self.app.state.indexes
        return indexes

    def run(self) -> None:
        """Serve until interrupted; SIGTERM finishes the requests in flight."""
        config = uvicorn.Config(self.app, log_level="warning", timeout_graceful_shutdown=30)
        uvicorn.Server(config).run(sockets=[self.listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio turns Nagle's algorithm off only where the protocol is named; with it on, each
        # answer waits 40 ms for the client's acknowledgement.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # Until it listens, another server may be bound to the same address.
        listener.listen()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"can't listen on {host}:{port} ({error}); choose another with --host and --port"
        ) from error
    return listener
