"""The names that a server answers to, which stop DNS rebinding, and the origins of its own pages.

A page of another site can have its name resolve to this server's address, and is then of the same
origin as the server to the browser. It can't choose the Host that the browser sends: its own name.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from lsr.errors import UsageError

NAME = r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?"
HOST = re.compile(rf"(?P<name>\[[0-9a-f:.]+\]|{NAME})(?::(?P<port>[0-9]{{1,5}}))?")
ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#@]+)")
PORTS = {"http": 80, "https": 443}
LONGEST = 262
"""Characters of a name of 253, brackets or a dot, and a port."""


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Loopback, and the ``names``; with ``addresses`` also any address written in numbers, which
    no name can be made to stand for.
    """

    names: frozenset[str] = frozenset()
    addresses: bool = False

    @classmethod
    def of_server(cls, host: str, more: Iterable[str] = ()) -> AllowedHosts:
        """Of a server that listens on ``host``: that name, and ``more``.

        One that others reach answers to the name of the machine too, and to any address.

        Raises:
            UsageError: one of ``more`` is no name of a host.
        """
        names = {_canonical(host.lower()), *map(_checked, more)}
        if is_loopback(host):
            return cls(frozenset(names))
        return cls(frozenset(names | {socket.gethostname().lower()}), addresses=True)

    def allows(self, host: str) -> bool:
        """Whether the server answers to this value of the header Host, whatever its port."""
        split = _split(host)
        return split is not None and self._allows_name(split[0])

    def _allows_name(self, name: str) -> bool:
        if name in self.names or is_loopback(name):
            return True
        return self.addresses and _address(name) is not None


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's, as only itself reaches it."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def is_own_origin(origin: str, scheme: str, host: str) -> bool:
    """Whether an Origin is of the server that was asked with this scheme and this Host.

    Scheme, name and port must be the same; ``null`` and what is malformed are of no server.
    """
    theirs, asked = split_origin(origin), _split(host)
    if theirs is None or asked is None:
        return False
    return theirs == (scheme, asked[0], asked[1] or PORTS.get(scheme))


def split_origin(origin: str) -> tuple[str, str, int] | None:
    """Scheme, name and port; None where it is ``null`` or malformed."""
    found = ORIGIN.fullmatch(origin.lower())
    split = None if found is None else _split(found["host"])
    if found is None or split is None:
        return None
    return found["scheme"], split[0], split[1] or PORTS[found["scheme"]]


def _split(host: str) -> tuple[str, int | None] | None:
    """Name and port; None where they are malformed."""
    found = HOST.fullmatch(host.lower()) if len(host) <= LONGEST else None
    if found is None:
        return None
    name, port = _canonical(found["name"]), found["port"]
    bracketed = found["name"].startswith("[")
    if (bracketed and _address(name) is None) or (port is not None and int(port) > 65535):
        return None
    return name, None if port is None else int(port)


def _canonical(name: str) -> str:
    """A name without its last dot; an address as it is written shortest."""
    bare = name.removeprefix("[").removesuffix("]").removesuffix(".")
    address = _address(bare)
    return bare if address is None else str(address)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _checked(name: str) -> str:
    split = _split(name)
    if split is None:
        raise UsageError(
            f"the allowed host {name!r} is no name of a host; give one as in search.example.org"
        )
    return split[0]
