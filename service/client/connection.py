"""Where a server is and how it is asked: address, key, time-outs; as httpx takes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from lsr.distribution import package_version
from lsr.errors import InputError, MissingDependencyError, UsageError
from service.client.exchange import LARGEST_ANSWER, Lost, Request, odd_answer
from service.client.retries import MOST_RETRIES

ADDRESS = "http://127.0.0.1:8000"
TIMEOUT_MS, WRITE_TIMEOUT_MS = 30_000.0, 600_000.0
LONGEST_TIMEOUT_MS = 86_400_000.0
WRONG_ADDRESS = (
    "the address of a server begins with http:// or https://, and has neither a user name nor a "
    f"query, as in {ADDRESS}; give one such"
)


@dataclass(frozen=True, slots=True)
class Connection:
    """Settings of a client. The key stands in no message and no ``repr``."""

    url: str = ADDRESS
    key: str | None = field(default=None, repr=False)
    # For an answer that changes nothing, and for one that does: encoding may take long.
    timeout_ms: float = TIMEOUT_MS
    write_timeout_ms: float = WRITE_TIMEOUT_MS
    # How often a request is sent again where the server is busy or the connection is lost.
    retries: int = 4
    # A file of certificates that are trusted in place of the usual ones.
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError:
            raise UsageError(WRONG_ADDRESS) from None
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
        if parts.scheme not in ("http", "https") or not (parts.hostname and plain):
            raise UsageError(WRONG_ADDRESS)
        for name in ("timeout_ms", "write_timeout_ms"):
            if not 0 < getattr(self, name) <= LONGEST_TIMEOUT_MS:
                raise InputError(
                    f"{name} is {getattr(self, name)}; allowed is above 0, and at most "
                    f"{LONGEST_TIMEOUT_MS:.0f}"
                )
        if not 0 <= self.retries <= MOST_RETRIES:
            raise InputError(f"the retries are {self.retries}; allowed is 0 to {MOST_RETRIES}")
        key = self.key
        if key is not None and not (key and key.isascii() and key.isprintable() and " " not in key):
            raise InputError("the key holds what no key of a server does; give it as it was shown")

    @property
    def http(self) -> dict[str, Any]:
        """What a client of httpx is made with."""
        import ssl

        headers = {"User-Agent": f"lsr/{package_version()}", "Accept": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        settings: dict[str, Any] = {"headers": headers, "trust_env": False}
        if self.ca_file is not None:
            try:
                settings["verify"] = ssl.create_default_context(cafile=str(self.ca_file))
            except OSError as error:
                raise UsageError(
                    f"the certificates of {self.ca_file} can't be read ({error}); give a PEM file"
                ) from error
        return settings

    def sent(self, request: Request) -> dict[str, Any]:
        """What httpx is asked to send."""
        limit = self.write_timeout_ms if request.writes else self.timeout_ms
        return {
            "method": request.method,
            "url": f"{self.url.rstrip('/')}{request.path}",
            "params": dict(request.parameters) or None,
            "content": request.body,
            "headers": dict(request.headers),
            "timeout": limit / 1000,
        }

    def lost(self, error: Exception, request: Request) -> Lost:
        """What an error of httpx means."""
        httpx = httpx_module()
        if isinstance(error, httpx.ReadTimeout):
            limit = self.write_timeout_ms if request.writes else self.timeout_ms
            name = "write_timeout_ms" if request.writes else "timeout_ms"
            sentence = (
                f"the server at {self.url} did not answer within {limit:.0f} ms; give it more "
                f"time with {name}"
            )
            return Lost(sentence, again=False)
        reason = str(error) or type(error).__name__
        return Lost(
            f"the server at {self.url} can't be reached ({reason}); see that it runs, and that "
            "the address is right",
            again=not isinstance(error, httpx.UnsupportedProtocol),
        )


class Body(bytearray):
    """The bytes of an answer, as many as are allowed."""

    def add(self, part: bytes) -> None:
        """More of them.

        Raises:
            LsrError: it is no answer of a server of lsr, or one that is too long.
        """
        self.extend(part)
        if len(self) > LARGEST_ANSWER:
            raise odd_answer()


def httpx_module() -> ModuleType:
    """The package httpx.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import httpx
    except ImportError as error:
        raise MissingDependencyError("the client", "httpx", "client") from error
    return httpx
