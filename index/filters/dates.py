"""Dates and times as ISO 8601 writes them, and the instants that they name."""

from __future__ import annotations

import re
from datetime import datetime

# Within one day, in the extended format: with hyphens and colons.
DATE = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?P<minute>\d\d:\d\d)(?P<second>:\d\d)?(?:[.,](?P<fraction>\d{1,9}))?"
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def instant(text: str) -> int | None:
    """Nanoseconds from 1970 on, in UTC, at which a date or a time begins; None: it is neither.

    A date is ``2026-11-27``, a time such as ``2026-11-27T08:30``, with or without seconds, parts of
    a second, and a zone (``Z``, ``+01:00``); without a zone it is in UTC. Leap seconds are none.
    """
    found = DATE.fullmatch(text) if text[4:5] == "-" else None
    if found is None or (found["fraction"] and not found["second"]):
        return None
    zone = "+00:00" if found["zone"] in (None, "Z") else found["zone"]
    try:
        begins = datetime.fromisoformat(
            f"{found['day']}T{found['minute'] or '00:00'}{found['second'] or ':00'}{zone}"
        )
    except ValueError:
        return None
    # Exact, as the difference of two instants in floats would not be.
    passed = begins - EPOCH
    seconds = 86_400 * passed.days + passed.seconds
    return seconds * 10**9 + int((found["fraction"] or "").ljust(9, "0"))
