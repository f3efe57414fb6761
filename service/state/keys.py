"""Keys of a server's API: what each may do, to which indexes, and until when.

Of a key the file has the SHA-256 of its 256 random bits, which can't be turned back into it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Literal

from lsr.errors import InputError, NotFoundError
from service.state.database import StateDatabase

Scope = Literal["search", "write", "admin", "metrics", "mcp"]
SCOPES: tuple[Scope, ...] = ("search", "write", "admin", "metrics", "mcp")
INCLUDED: dict[Scope, frozenset[Scope]] = {
    "search": frozenset({"search"}),
    "write": frozenset({"search", "write"}),
    "admin": frozenset(SCOPES),
    "metrics": frozenset({"metrics"}),
    "mcp": frozenset({"mcp"}),
}
"""What a key of each scope may do."""
EVERY = "*"
PREFIX, RANDOM_BYTES = "lsr_", 32
SHORTEST_ADMIN_KEY, LONGEST_TOKEN = 20, 512
MOST_KEYS, MOST_PATTERNS, LONGEST_NAME, LONGEST_PATTERN = 10_000, 100, 200, 255
MOST_REMEMBERED = 4096
SHOWN = 4
"""Characters of its end by which people tell a key."""
LATEST = 253_402_300_799.0
"""The end of the year 9999."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, name TEXT NOT NULL, scopes TEXT NOT NULL,
    indexes TEXT NOT NULL, created REAL NOT NULL, expires REAL, ending TEXT NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key.

    ``indexes`` are patterns of names, in which ``*`` stands for any characters; ``created`` and
    ``expires`` are seconds since 1970; ``ending`` is how the key ends.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...]
    indexes: tuple[str, ...]
    created: float
    expires: float | None
    ending: str

    @property
    def is_of_every_index(self) -> bool:
        """Whether no index is out of its reach."""
        return EVERY in self.indexes

    def is_expired(self) -> bool:
        """Whether its time is up."""
        return self.expires is not None and self.expires <= time.time()

    def has(self, scope: Scope) -> bool:
        """Whether one of its scopes is this one or includes it."""
        return any(scope in INCLUDED[each] for each in self.scopes)

    def reaches(self, index: str) -> bool:
        """Whether one of its patterns is of the name of this index."""
        return any(fnmatchcase(index, pattern) for pattern in self.indexes)


class Keys:
    """The keys of a server, the same in all of its processes from one request to the next.

    Args:
        state: where they are kept.
        admin_key: a key that may do everything and is in no file; None: there is none.
    """

    def __init__(self, state: StateDatabase, admin_key: str | None = None) -> None:
        state.define(SCHEMA)
        self._state = state
        # Apart from the one that writes, so that no request waits for a disk, and so that its
        # version changes with what this process writes too.
        self._read = StateDatabase(state.path)
        self._version = -1
        self._known: dict[bytes, Key] = {}
        self._any = False
        self._admin = None if admin_key is None else _admin(admin_key)

    def create(
        self,
        name: str,
        scopes: Sequence[Scope] = ("search",),
        indexes: Sequence[str] = (EVERY,),
        expires: float | None = None,
    ) -> tuple[Key, str]:
        """A new key, and the token that stands for it, which nobody can ask for again.

        Raises:
            InputError: a name, scope, pattern or time is malformed, or there are too many keys.
            LsrError: it can't be written.
        """
        checked = _checked(name, scopes, indexes, expires)
        token = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
        made = Key(secrets.token_hex(6), *checked, time.time(), expires, token[-SHOWN:])
        with self._state.writing() as connection:
            if connection.execute("SELECT count(*) FROM keys").fetchone()[0] >= MOST_KEYS:
                raise InputError(f"there are {MOST_KEYS:,} keys; revoke those that are not used")
            connection.execute(
                "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (made.id, _digest(token), made.name, " ".join(made.scopes),
                 "\n".join(made.indexes), made.created, made.expires, made.ending),
            )  # fmt: skip
        return made, token

    def all(self) -> list[Key]:
        """All of the file, oldest first, expired ones too."""
        return list(map(_key, self._read.rows("SELECT * FROM keys ORDER BY created, id")))

    def revoke(self, id: str) -> Key:  # noqa: A002
        """Delete a key; no request that begins after this is answered to it.

        Raises:
            NotFoundError: there is none of this id.
            LsrError: it can't be written.
        """
        with self._state.writing() as connection:
            row = connection.execute("SELECT * FROM keys WHERE id = ?", (id,)).fetchone()
            if row is None:
                raise NotFoundError(f"there is no key {id[:100]!r}")
            connection.execute("DELETE FROM keys WHERE id = ?", (id,))
        return _key(row)

    def exist(self) -> bool:
        """Whether there is any, so that requests need one; expired ones count."""
        if self._admin is not None:
            return True
        self._look()
        return self._any

    def find(self, token: str) -> Key | None:
        """The key that a token stands for, whether it is expired or not; None: it is of no key."""
        if not token or len(token) > LONGEST_TOKEN:
            return None
        digest = _digest(token)
        if self._admin is not None and hmac.compare_digest(digest, self._admin[0]):
            return self._admin[1]
        self._look()
        found = self._known.get(digest)
        if found is None and self._any:
            found = self._looked_up(digest)
        return found

    def close(self) -> None:
        """Let go of the file."""
        self._read.close()

    def _look(self) -> None:
        """Forget what is known if anybody has written since."""
        version = self._read.version()
        if version != self._version:
            self._known.clear()
            self._any = bool(self._read.rows("SELECT EXISTS (SELECT 1 FROM keys)")[0][0])
            self._version = version

    def _looked_up(self, digest: bytes) -> Key | None:
        # The index finds it in a time that depends on digests alone, which say nothing of keys.
        for row in self._read.rows("SELECT * FROM keys WHERE digest = ?", (digest,)):
            if hmac.compare_digest(row["digest"], digest):
                if len(self._known) >= MOST_REMEMBERED:
                    self._known.clear()
                self._known[digest] = _key(row)
                return self._known[digest]
        return None


def _checked(
    name: str, scopes: Sequence[Scope], indexes: Sequence[str], expires: float | None
) -> tuple[str, tuple[Scope, ...], tuple[str, ...]]:
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise InputError(
            f"a key needs a name of 1 to {LONGEST_NAME} characters that can be printed"
        )
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        given = f"{unknown[0][:100]!r} is no scope" if unknown else "a key needs a scope"
        raise InputError(f"{given}; there are: {', '.join(SCOPES)}")
    if not 0 < len(indexes) <= MOST_PATTERNS:
        raise InputError(f"a key is for 1 to {MOST_PATTERNS} patterns of names, not {len(indexes)}")
    for pattern in indexes:
        if not 0 < len(pattern) <= LONGEST_PATTERN or not pattern.isprintable():
            raise InputError(
                f"{pattern[:100]!r} is no pattern of names of indexes; give one as in docs-*"
            )
    if expires is not None and not time.time() < expires <= LATEST:
        raise InputError("a key can't expire in the past, nor after the year 9999")
    return name, tuple(dict.fromkeys(scopes)), tuple(dict.fromkeys(indexes))


def _admin(token: str) -> tuple[bytes, Key]:
    return _digest(token), Key("admin_key", "admin_key", ("admin",), (EVERY,), 0.0, None, "")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _key(row: sqlite3.Row) -> Key:
    scopes = tuple(scope for scope in SCOPES if scope in row["scopes"].split(" "))
    return Key(
        row["id"], row["name"], scopes, tuple(row["indexes"].split("\n")),
        row["created"], row["expires"], row["ending"],
    )  # fmt: skip


def moment(seconds: float) -> str:
    """A time as JSON has it: 2026-11-27T03:00:00Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
