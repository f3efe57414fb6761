"""How often a key, and an address, may ask."""

from __future__ import annotations

import ipaddress
import math
import time
from pathlib import Path

from limits import RateLimitItem, parse_many
from limits.strategies import FixedWindowRateLimiter

from service.state.rate_table import RateTable

NETWORK_BITS = 64
"""Of an IPv6 address, that are of one customer."""


def parse_rates(text: str) -> list[RateLimitItem]:
    """Rates as in ``100/second`` or ``10 per second; 1000 per hour``.

    Raises:
        ValueError: it is malformed, or allows nothing.
    """
    try:
        items = parse_many(text)
    except ValueError:
        items = []
    if not items or any(item.amount < 1 or item.multiples < 1 for item in items):
        raise ValueError(
            "give a number of requests and a time, as in 100/second or 20/second; 1000/hour"
        )
    return items


class RateLimits:
    """Counts requests, by all processes of the server together.

    Args:
        path: the file of the counts.
        by_key: how often one key may ask; None: as often as it likes.
        by_address: the same of an address, and of a network of IPv6.
    """

    def __init__(self, path: Path, by_key: str | None, by_address: str | None) -> None:
        self._by_key = [] if by_key is None else parse_rates(by_key)
        self._by_address = [] if by_address is None else parse_rates(by_address)
        self._table = RateTable(path)
        self._limiter = FixedWindowRateLimiter(self._table)

    def count_key(self, key: str) -> tuple[str, int] | None:
        """Count a request of a key; what it is past, and seconds until it may ask again."""
        return self._count(self._by_key, "key", key)

    def count_address(self, address: str) -> tuple[str, int] | None:
        """The same of an address."""
        return self._count(self._by_address, "address", _network(address))

    def close(self) -> None:
        """Let go of the file."""
        self._table.close()

    def _count(self, items: list[RateLimitItem], kind: str, name: str) -> tuple[str, int] | None:
        for item in items:
            if not self._limiter.hit(item, kind, name):
                ends = self._limiter.get_window_stats(item, kind, name).reset_time
                return str(item), max(1, math.ceil(ends - time.time()))
        return None


def _network(address: str) -> str:
    """Whom an address is of."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((found, NETWORK_BITS), strict=False))
        found = found.ipv4_mapped
    return str(found)
