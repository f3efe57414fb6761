"""Answers kept under the Idempotency-Key of their requests, so that these can be sent again."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from service.state.database import StateDatabase

KEPT_SECONDS = 24 * 3600.0
MOST_KEPT = 10_000
MOST_BYTES = 64 << 20
"""Of the answers that are kept, packed."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS idempotency (
    key BLOB PRIMARY KEY,
    request BLOB NOT NULL,
    owner TEXT NOT NULL,
    begun REAL NOT NULL,
    status INTEGER,
    answer BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_by_time ON idempotency (begun)
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was given before: its HTTP status and its body."""

    status: int
    body: bytes


class IdempotencyKeys:
    """What the requests with an Idempotency-Key were answered, for all processes of a server.

    A key is that of one client and one address. Answers are kept for a day, and the oldest go
    before that where there are very many. A key whose process has died is free again.
    """

    def __init__(self, database: StateDatabase) -> None:
        self._database = database
        self._owner = f"{os.getpid()} {_begun(os.getpid())} {uuid.uuid4().hex}"
        database.define(SCHEMA)

    def claim(self, key: bytes, request: bytes) -> Kept | Literal["new", "running", "other"]:
        """What is known of a key; a new one is this process's until ``keep`` or ``release``.

        Args:
            key: a digest of the key, of its client and of the address.
            request: a digest of all that the answer depends on.

        Returns:
            The answer that is kept; or that there is none yet ("new"), that a request is at work
            ("running"), or that the key was given with another request ("other").
        """
        now = time.time()
        with self._database.writing() as connection:
            connection.execute("DELETE FROM idempotency WHERE begun < ?", [now - KEPT_SECONDS])
            row = connection.execute(
                "SELECT request, owner, status, answer FROM idempotency WHERE key = ?", [key]
            ).fetchone()
            if row is not None:
                if row["request"] != request:
                    return "other"
                if row["status"] is not None:
                    return Kept(row["status"], zlib.decompress(row["answer"]))
                if self._is_alive(row["owner"]):
                    return "running"
            connection.execute(
                "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, NULL, NULL)",
                [key, request, self._owner, now],
            )
        return "new"

    def keep(self, key: bytes, status: int, body: bytes) -> None:
        """Keep the answer to a request whose key is this process's."""
        packed = zlib.compress(body, 1)
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE idempotency SET status = ?, answer = ? WHERE key = ? AND owner = ?",
                [status, packed, key, self._owner],
            )
            count, size = connection.execute(
                "SELECT count(*), coalesce(sum(length(answer)), 0) FROM idempotency"
            ).fetchone()
            if count > MOST_KEPT or size > MOST_BYTES:
                # A quarter at once: it is looked for what is old once in a while, not each time.
                connection.execute(
                    "DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE "
                    "status IS NOT NULL AND key != ? ORDER BY begun LIMIT ?)",
                    [key, max(count // 4, 1)],
                )

    def release(self, key: bytes) -> None:
        """Free a key that is this process's, whose request has no answer to keep."""
        with self._database.writing() as connection:
            connection.execute(
                "DELETE FROM idempotency WHERE key = ? AND owner = ? AND status IS NULL",
                [key, self._owner],
            )

    def _is_alive(self, owner: str) -> bool:
        """Whether the process of a claim still runs."""
        if owner == self._owner:
            return True
        pid, begun, _ = owner.split(" ")
        if int(pid) == os.getpid():
            return False
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return _begun(int(pid)) == begun


def _begun(pid: int) -> str:
    """When a process began, in ticks since the machine did; empty where the system doesn't say."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def digest_of(*parts: bytes | bytearray) -> bytes:
    """32 bytes over parts, each of which counts with its length."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.digest()
