"""Where a collection in Qdrant is: the address that takes the place of a directory."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from lsr.errors import UsageError

SERVER: Final = "qdrant"
SECURE: Final = "qdrants"
EDGE: Final = "qdrant-edge"
KEY_VARIABLE = "LSR_QDRANT_API_KEY"
PORT = 6333
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_FORMS = "qdrant://HOST[:PORT]/NAME, qdrants://HOST[:PORT]/NAME (TLS) and qdrant-edge:///FOLDER"


@dataclass(frozen=True, slots=True)
class QdrantAddress:
    """A collection of a Qdrant server, or of Qdrant's engine in this process.

    ``qdrant://host[:port][/prefix]/name`` is on a server, ``qdrants://`` over TLS; with
    ``?grpc=PORT`` it is reached by gRPC at that port. ``qdrant-edge:///folder`` is a folder of this
    machine, whose last part is the name. No address holds a key: that comes from the environment.
    """

    scheme: Literal["qdrant", "qdrants", "qdrant-edge"]
    name: str
    host: str = ""
    port: int = PORT
    # Path in front of the API, where a proxy has one.
    prefix: str = ""
    grpc_port: int | None = None
    # That the folder of the collection is in; None: it is on a server.
    folder: Path | None = None

    @classmethod
    def parse(cls, text: str) -> QdrantAddress:
        """The address that a text spells.

        Raises:
            UsageError: it spells none, or holds a user, a key or a password.
        """
        scheme, _, rest = text.partition("://")
        if scheme not in (SERVER, SECURE, EDGE) or not rest:
            raise UsageError(f"{_hidden(text)!r} is no address of Qdrant; allowed are {_FORMS}")
        if scheme == EDGE:
            return cls._of_folder(rest)
        try:
            parts = urlsplit(text)
            port, host = parts.port, parts.hostname
            options = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
        except ValueError as error:
            raise UsageError(
                f"the address of {scheme}:// is malformed; allowed are {_FORMS}"
            ) from error
        if "@" in parts.netloc or "api_key" in options or "api-key" in options:
            raise UsageError(
                f"the address of {scheme}:// holds a key or a password; leave it out and set "
                f"{KEY_VARIABLE} in the environment"
            )
        prefix, _, name = unquote(parts.path).rstrip("/").rpartition("/")
        grpc = options.pop("grpc", None)
        if not host or options or parts.fragment or (grpc and not _is_port(grpc)):
            raise UsageError(f"{_hidden(text)!r} is no address of Qdrant; allowed are {_FORMS}")
        return cls(
            SECURE if scheme == SECURE else SERVER,
            _checked(name),
            host,
            PORT if port is None else port,
            prefix.strip("/"),
            int(grpc[0]) if grpc else None,
        )

    @classmethod
    def _of_folder(cls, rest: str) -> QdrantAddress:
        path = Path(rest)
        if not rest.startswith("/"):
            raise UsageError(
                f"qdrant-edge://{rest} names no whole path; give one as in qdrant-edge:///data/name"
            )
        return cls(EDGE, _checked(path.name), folder=path.parent)

    def __str__(self) -> str:
        if self.folder is not None:
            return f"{EDGE}://{self.folder / self.name}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = f"{self.scheme}://{host}:{self.port}"
        prefix = f"/{self.prefix}" if self.prefix else ""
        grpc = f"?grpc={self.grpc_port}" if self.grpc_port else ""
        return f"{place}{prefix}/{self.name}{grpc}"

    @property
    def url(self) -> str:
        """Of the server's API over HTTP."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.scheme == SECURE else 'http'}://{host}:{self.port}"

    def named(self, name: str) -> QdrantAddress:
        """The address of another collection at the same place."""
        return QdrantAddress(
            self.scheme,
            _checked(name),
            self.host,
            self.port,
            self.prefix,
            self.grpc_port,
            self.folder,
        )


def is_address(text: str) -> bool:
    """Whether a text is meant as an address of Qdrant, be it a malformed one."""
    return text.partition("://")[0] in (SERVER, SECURE, EDGE) and "://" in text


def api_key() -> str | None:
    """The key of the server, from the environment; None: it has none."""
    return os.environ.get(KEY_VARIABLE) or None


def _is_port(values: list[str]) -> bool:
    return len(values) == 1 and values[0].isdecimal() and 0 < int(values[0]) < 65536


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"the address names the collection {name[:80]!r}; allowed are 1 to 200 letters, "
            "digits, '.', '_' and '-'"
        )
    return name


def _hidden(text: str) -> str:
    """A text without what might be a user and a password."""
    return re.sub(r"//[^/]*@", "//", text)[:200]
