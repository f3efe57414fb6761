"""Cursors: where a walk through a ranking stands, as text that a client brings back."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from index.collection.view import View
from index.search.config import SearchConfig
from index.search.plan import Plan
from index.search.query import SearchQuery
from lsr.errors import InputError, UsageError

# What a page holds, and how long it may take, may change from one page to the next.
_OF_A_PAGE = {
    "limit": 1, "offset": 0, "cursor": None, "payload": True, "most_characters": None,
    "highlight": True, "explain": False, "time_budget_ms": None,
    "context_tokens": None,
}  # fmt: skip
# Version, digest of the search, newest number, how many numbers and ids, and the bytes of a gap;
# then gaps, then ids, then a checksum.
_HEAD = struct.Struct("<B16sqIIB")
_VERSION = 1
_CHECKSUM = 8
_GAPS = ("<u1", "<u2", "<u4", "<u8")
_LARGEST = (1 << 63) - 1


@dataclass(frozen=True, eq=False)
class Cursor:
    """The walk of one search: where it began, and all that it has served since.

    ``search`` is the digest of ``digest_of``, and ``newest`` the largest sequence number of the
    collection when the walk began. ``served`` int64 (n,) ascending are the numbers of the documents
    of all pages so far, and ``ids`` uint32 (m,) ascending digests of their ids: a document that is
    written anew gets another number.
    """

    search: bytes
    newest: int
    served: NDArray[np.int64]
    ids: NDArray[np.uint32]

    @classmethod
    def parse(cls, text: str, search: bytes) -> Cursor:
        """The cursor that ``text`` spells.

        Raises:
            InputError: no search gave it, or one that isn't ``search``.
        """
        cursor = _parse(text)
        if cursor is None:
            raise InputError(
                "the cursor is not one that a search gave; take it from the last answer as it is, "
                "or leave it out to begin at the top"
            )
        if cursor.search != search:
            raise InputError(
                "the cursor is of another search; it goes with the query, the collection and the "
                "settings of the answer that gave it"
            )
        return cursor

    def text(self) -> str:
        """Letters, digits, - and _ that ``parse`` reads."""
        gaps = np.diff(self.served, prepend=0)
        largest = int(gaps.max(initial=0))
        widths = [np.dtype(width) for width in _GAPS]
        width = next(width for width in widths if largest < 1 << (8 * width.itemsize))
        counts = len(self.served), len(self.ids), width.itemsize
        body = _HEAD.pack(_VERSION, self.search, self.newest, *counts)
        body += gaps.astype(width).tobytes() + self.ids.astype("<u4").tobytes()
        return base64.urlsafe_b64encode(body + _checksum(body)).decode().rstrip("=")

    @classmethod
    def of_search(
        cls, view: View, queries: Sequence[SearchQuery], config: SearchConfig
    ) -> Cursor | None:
        """The cursor that a search was given.

        Raises:
            InputError: it is malformed, or of another search.
            UsageError: there are several queries, which can't share one.
        """
        if config.cursor is None:
            return None
        if len(queries) != 1:
            raise UsageError(
                f"a cursor goes on with one query, and there are {len(queries)}; search for one at "
                "a time"
            )
        return cls.parse(config.cursor, digest_of(view, queries[0], config))

    def deepened(self, view: View, plan: Plan) -> Plan:
        """The plan of rankings that surely hold the next page, where they are that long.

        What was fused stays so deep, but for what was written since the walk began.
        """
        return plan.deeper(view.rows_after(self.newest) + (0 if plan.fusion else len(self.served)))

    def unserved(self, view: View, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which documents, int64 (n,), were not served, be it as they were before a write."""
        left = ~np.isin(numbers, self.served)
        places = np.flatnonzero(left & (numbers > self.newest))
        anew = view.store.ids(numbers[places].tolist())
        ids = [anew[number] for number in numbers[places].tolist()]
        left[places[np.isin(_digests(ids), self.ids)]] = False
        return left

    def after(self, numbers: Sequence[int], ids: Sequence[str]) -> Cursor:
        """The walk when it has served, or passed over, these numbers too, and served these ids."""
        return dataclasses.replace(
            self,
            served=np.union1d(self.served, np.array(numbers, np.int64)),
            ids=np.union1d(self.ids, _digests(ids)),
        )


class NextPage(Protocol):
    """What knows the cursor of the page after it."""

    def next(self) -> str:
        """The cursor of the next page."""


@dataclass(frozen=True, eq=False)
class Page:
    """A page that was served, from which the cursor of the next is made where one is wanted.

    ``numbers`` are those of its documents and of what ``offset`` left out, ``ids`` of its hits.
    """

    view: View
    query: SearchQuery
    config: SearchConfig
    cursor: Cursor | None
    numbers: Sequence[int]
    ids: Sequence[str]

    def next(self) -> str:
        """The cursor of the next page."""
        cursor = self.cursor or Cursor(
            digest_of(self.view, self.query, self.config),
            self.view.newest,
            np.empty(0, np.int64),
            np.empty(0, np.uint32),
        )
        return cursor.after(self.numbers, self.ids).text()


def digest_of(view: View, query: SearchQuery, config: SearchConfig) -> bytes:
    """16 bytes over all that a ranking depends on, but for the documents."""
    fields = {field.name: field.fingerprint for field in view.fields}
    try:
        settings = _remembered(config)
    except TypeError:
        # With weights, which have no hash.
        settings = _settings(config)
    parts = repr((view.store.identity, _plain(fields), _plain(query), settings))
    return hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _settings(config: SearchConfig) -> str:
    """The settings that are the same for all pages; equal ones are spelled alike."""
    return repr(_plain(dataclasses.replace(config, **_OF_A_PAGE)))  # type: ignore[arg-type]


# Most searches of a server have the same settings.
_remembered = lru_cache(maxsize=256)(_settings)


def _plain(value: object) -> object:
    """Settings in a form whose ``repr`` is the same for the same settings."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return type(value).__name__, [(name, _plain(getattr(value, name))) for name in names]
    if isinstance(value, Mapping):
        return sorted((repr(key), _plain(each)) for key, each in value.items())
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _parse(text: str) -> Cursor | None:
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    body, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:]
    if len(body) < _HEAD.size or _checksum(body) != checksum:
        return None
    version, search, newest, numbers, ids, width = _HEAD.unpack_from(body)
    packed = body[_HEAD.size :]
    if version != _VERSION or f"<u{width}" not in _GAPS or newest < 0:
        return None
    if len(packed) != width * numbers + 4 * ids:
        return None
    gaps = np.frombuffer(packed[: width * numbers], dtype=f"<u{width}").tolist()
    if not all(gaps) or sum(gaps) > _LARGEST:
        return None
    served = np.cumsum(np.array(gaps, dtype=np.int64))
    digests = np.frombuffer(packed[width * numbers :], dtype="<u4").astype(np.uint32)
    return Cursor(search, newest, served, digests)


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECKSUM).digest()


def _digests(ids: Sequence[str]) -> NDArray[np.uint32]:
    """Of 32 bits: enough to tell documents that were written during a walk from what it served."""
    packed = b"".join(
        hashlib.blake2b(each.encode("utf-8", "surrogatepass"), digest_size=4).digest()
        for each in ids
    )
    return np.frombuffer(packed, dtype="<u4").astype(np.uint32)
