"""When a request is sent again: what a failure means, and how long to wait."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

from lsr.errors import LsrError
from service.client.errors import error_of, error_type

MOST_RETRIES = 100
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 60.0
# What a server says that has done nothing yet, or a proxy that reaches none.
AGAIN = frozenset((429, 502, 503, 504))
# Types of a 409 that passes: someone else writes, or this very request is at work.
PASSING = frozenset(("locked", "in_progress"))


@dataclass(slots=True)
class Attempts:
    """The attempts at one request: after each failure how long to wait, or the error to raise.

    Waits double, each shortened by chance by up to a half, so that clients don't come together
    again. A server's Retry-After is obeyed; where it is longer than a minute, the error is raised.
    """

    # How many may follow the first.
    left: int
    wait_s: float = field(default_factory=lambda: FIRST_WAIT_S)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> float:
        """Seconds to wait after an answer that is none.

        Raises:
            LsrError: there is nothing to wait for, or too long, or the attempts are used up.
        """
        if status in AGAIN or error_type(body) in PASSING:
            asked = retry_after(headers.get("retry-after"))
            if self.left and asked <= LONGEST_WAIT_S:
                return max(asked, self._wait())
        raise error_of(status, headers, body)

    def failed(self, error: LsrError) -> float:
        """Seconds to wait after a connection was lost, or items could not be written.

        Raises:
            LsrError: the attempts are used up; that error.
        """
        if self.left:
            return self._wait()
        raise error

    def _wait(self) -> float:
        self.left -= 1
        wait, self.wait_s = self.wait_s, min(2 * self.wait_s, LONGEST_WAIT_S)
        return wait * random.uniform(0.5, 1)  # noqa: S311


def retry_after(value: str | None) -> float:
    """Seconds that a header Retry-After asks for, as a number or a date; 0 where there is none."""
    if value is None:
        return 0.0
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - time.time())
