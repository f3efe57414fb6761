"""A log that doesn't repeat itself by the thousand."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Hashable

# Records of one origin that are logged within so many seconds.
MOST, SECONDS = 5, 60.0


class RepeatedRecords(logging.Filter):
    """Lets a few records of one origin pass in a minute, and counts the others.

    An origin is a line of code and a kind of exception. The next record that passes says how many
    did not.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._seen: dict[Hashable, _Seen] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is logged."""
        kind = record.exc_info[0] if record.exc_info else None
        origin = record.pathname, record.lineno, record.levelno, kind
        now = time.monotonic()
        with self._lock:
            seen = self._seen.setdefault(origin, _Seen(now, record.getMessage()))
            if now - seen.since > SECONDS:
                left_out, seen.left_out = seen.left_out, 0
                seen.since, seen.passed = now, 0
            else:
                left_out = 0
            seen.passed += 1
            if seen.passed > MOST:
                seen.left_out += 1
                return False
        if left_out:
            record.msg, record.args = f"{record.getMessage()} {_told(left_out)}", None
        return True

    def left_out(self) -> list[str]:
        """A sentence for each origin of records that were not logged; they are told by that."""
        with self._lock:
            told = [
                f"{seen.first} {_told(seen.left_out)}"
                for seen in self._seen.values()
                if seen.left_out
            ]
            self._seen.clear()
        return told


class _Seen:
    def __init__(self, since: float, first: str) -> None:
        self.since, self.first = since, first
        self.passed = self.left_out = 0


def _told(left_out: int) -> str:
    return f"(repeated {left_out:,} more times, not logged)"
