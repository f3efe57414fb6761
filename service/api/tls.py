"""TLS by certificate files."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from lsr.errors import NotFoundError, UsageError
from service.settings import ServerSettings


def tls_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """What a server speaks TLS 1.2 or 1.3 by; None: it speaks none.

    Raises:
        NotFoundError: a file is not there.
        UsageError: they are no certificate and its key, or the key has a password.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    for file in (settings.tls_cert, settings.tls_key):
        if not file.is_file():
            raise NotFoundError(f"there is no file {file} of TLS")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password OpenSSL would ask on the terminal.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=_no_password)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{settings.tls_cert} and {settings.tls_key} are no certificate and its key, in PEM "
            f"and without a password ({_reason(error)})"
        ) from error
    return context


@contextmanager
def handshakes_within(seconds: float) -> Iterator[None]:
    """Servers that the running loop begins inside end handshakes that take longer."""
    loop = asyncio.get_running_loop()
    limited = partial(loop.create_server, ssl_handshake_timeout=seconds)
    vars(loop)["create_server"] = limited
    try:
        yield
    finally:
        del vars(loop)["create_server"]


def _no_password() -> str:
    raise ValueError("the key has a password")


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)
