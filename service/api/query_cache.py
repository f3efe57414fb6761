"""Answers to searches, kept for as long as nobody writes to what was searched."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from typing import NamedTuple

from index.collection.writable import Writable
from index.search.config import SearchConfig
from index.search.result import SearchResult

# Bytes of a kept answer beside those of its request and its own.
OVERHEAD = 600
# Of all bytes, those of the largest answer that is kept.
LARGEST_SHARE = 1 / 8


class _Kept(NamedTuple):
    revision: int
    answer: bytes
    size: int


class QueryCache:
    """The latest answers, by collection and the bytes of the request; for any number of threads.

    An answer is of one revision of its collection, which any write in any process changes.

    Args:
        size: bytes that requests and answers may take together.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[weakref.ref[Writable], bytes], _Kept] = OrderedDict()
        self.bytes = 0
        """That are taken."""

    def get(self, collection: Writable, revision: int, request: bytes) -> bytes | None:
        """What was kept as the answer to a request; None: nothing that is of this revision."""
        key = weakref.ref(collection), request
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept.revision != revision:
                return None
            self._kept.move_to_end(key)
            return kept.answer

    def keep(self, collection: Writable, revision: int, request: bytes, answer: bytes) -> None:
        """Keep an answer, if it isn't too large; those that were not asked for longest go."""
        size = len(request) + len(answer) + OVERHEAD
        if size > LARGEST_SHARE * self._size:
            return
        key = weakref.ref(collection), request
        with self._lock:
            before = self._kept.pop(key, None)
            self.bytes += size - (before.size if before else 0)
            self._kept[key] = _Kept(revision, answer, size)
            while self.bytes > self._size:
                _, oldest = self._kept.popitem(last=False)
                self.bytes -= oldest.size


def may_be_kept(config: SearchConfig, result: SearchResult) -> bool:
    """Whether the same search of the same revision has the same answer.

    It does not where time ran out, or where something beside the collection has a part in it.
    """
    if result.timed_out or config.rewrite:
        return False
    if config.time_budget_ms is not None and not result.exact:
        return False
    reranked = result.reranked
    return reranked is None or reranked.documents == reranked.wanted
