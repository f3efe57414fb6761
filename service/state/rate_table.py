"""Counts of requests in windows of time, in one file that all processes of a server share."""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import secrets
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from limits.storage import Storage

from lsr.errors import UsageError

MAGIC = b"LSRRATE1"
SALT_BYTES = 16
HEADER_BYTES = len(MAGIC) + SALT_BYTES
# Of whom it counts, when the window ends (seconds since 1970), and how often they came.
SLOT = struct.Struct("<QdQ")
SLOTS, WAYS = 1 << 15, 8
FILE_BYTES = HEADER_BYTES + SLOTS * SLOT.size


class RateTable(Storage):
    """What ``limits`` counts in; of a fixed size, however many come.

    A count is in one of a few places that its name chooses. Where these are all taken, the window
    that ends first gives way. The names are salted, so nobody can choose to meet somebody else.

    Args:
        path: the file, which is made anew if it is none of these.

    Raises:
        UsageError: it can't be made.
    """

    STORAGE_SCHEME = None

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with self._alone():
                if not self._is_whole():
                    os.ftruncate(self._file, 0)
                    os.ftruncate(self._file, FILE_BYTES)
                    os.pwrite(self._file, MAGIC + secrets.token_bytes(SALT_BYTES), 0)
            self._table = mmap.mmap(self._file, FILE_BYTES)
        except OSError as error:
            raise UsageError(
                f"requests can't be counted in {path} ({error}); name another place with --state"
            ) from error
        self._salt = self._table[len(MAGIC) : HEADER_BYTES]

    @property
    def base_exceptions(self) -> type[Exception]:
        """What goes wrong here."""
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, in a window of ``expiry`` seconds from the first on; what it is now."""
        tag, places = self._places(key)
        now = time.time()
        with self._alone():
            place, ends, count = self._place(tag, places, now)
            # One that ends later than it can is of a clock that was set back.
            if not now < ends <= now + expiry:
                ends, count = now + expiry, 0
            SLOT.pack_into(self._table, place, tag, ends, count + amount)
        return count + amount

    def get(self, key: str) -> int:
        """What the count is in the window that is open, or 0."""
        return self._found(key)[1]

    def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since 1970; now, where none is open."""
        return self._found(key)[0]

    def check(self) -> bool:
        """Whether it can count."""
        return not self._table.closed

    def reset(self) -> int | None:
        """Forget all counts."""
        with self._alone():
            self._table[HEADER_BYTES:] = bytes(FILE_BYTES - HEADER_BYTES)
        return None

    def clear(self, key: str) -> None:
        """Forget one count."""
        tag, places = self._places(key)
        with self._alone():
            place, *_ = self._place(tag, places, time.time())
            SLOT.pack_into(self._table, place, 0, 0.0, 0)

    def close(self) -> None:
        """Let go of the file."""
        self._table.close()
        os.close(self._file)

    def _found(self, key: str) -> tuple[float, int]:
        tag, places = self._places(key)
        now = time.time()
        with self._alone():
            _, ends, count = self._place(tag, places, now)
        return (ends, count) if ends > now else (now, 0)

    def _places(self, key: str) -> tuple[int, range]:
        digest = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=16, key=self._salt)
        tag, chosen = struct.unpack("<QQ", digest.digest())
        first = HEADER_BYTES + chosen % (SLOTS // WAYS) * WAYS * SLOT.size
        # No tag is 0, as that of a place that was never taken.
        return tag or 1, range(first, first + WAYS * SLOT.size, SLOT.size)

    def _place(self, tag: int, places: range, now: float) -> tuple[int, float, int]:
        """Where the count of a tag is, or may be; when its window ends; and the count."""
        first, soonest = places[0], float("inf")
        for place in places:
            owner, ends, count = SLOT.unpack_from(self._table, place)
            if owner == tag:
                return place, ends, count
            if ends < soonest:
                first, soonest = place, ends
        return first, 0.0, 0

    def _is_whole(self) -> bool:
        return (
            os.fstat(self._file).st_size == FILE_BYTES
            and os.pread(self._file, len(MAGIC), 0) == MAGIC
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process counts meanwhile; one that is killed holds nobody up."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
