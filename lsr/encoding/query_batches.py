"""Queries of many searches at once through a model: what waits shares one forward pass."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lsr.errors import OverloadedError
from lsr.sparse import SparseBatch, SparseVector
from lsr.threads import sharing_cores

Row = SparseVector | NDArray[np.float32]
RowsT = TypeVar("RowsT", bound="SparseBatch | NDArray[np.float32]")
Wait = Callable[["Future[list[Row]]"], "list[Row]"]
# Rows that are kept, and characters of the longest text whose row is.
MOST_KEPT, LONGEST_KEPT = 1024, 1000
_here = threading.local()


@dataclass(slots=True)
class _Asked:
    key: Hashable
    texts: Sequence[str]
    encode: Callable[[list[str]], Any]
    future: Future[list[Row]] = field(default_factory=Future)


class QueryBatches:
    """One thread that encodes queries for all others, as many at a time as wait by then.

    Nobody waits for a batch to become full: while one is encoded, the next one gathers. The rows
    of the latest texts are kept. ``batches``, ``encoded``, ``kept`` and ``refused`` count the
    batches, the texts that went through a model or needed not, and the requests that were refused.

    Args:
        most_waiting: requests that may wait; more are refused.
        largest: texts of a batch, unless one request has more.
    """

    def __init__(self, most_waiting: int, largest: int) -> None:
        self._most_waiting, self._largest = most_waiting, largest
        self._waiting: deque[_Asked] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._rows: OrderedDict[tuple[Hashable, str], Row] = OrderedDict()
        self.batches = self.encoded = self.kept = self.refused = 0

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    def encode(
        self, key: Hashable, texts: Sequence[str], encode: Callable[[list[str]], Any], wait: Wait
    ) -> list[Row]:
        """A row for each text, from a batch with those of others.

        Args:
            key: what is encoded together; the same stands for the same model and settings.
            texts: at least one.
            encode: the rows of some texts.
            wait: gives the result of a future, or doesn't want it any more.

        Raises:
            OverloadedError: too many wait.
        """
        with self._changed:
            found = [self._rows.get((key, text)) for text in texts]
            rows = [row for row in found if row is not None]
            if len(rows) == len(texts):
                for text in texts:
                    self._rows.move_to_end((key, text))
                self.kept += len(texts)
                return rows
            if len(self._waiting) >= self._most_waiting or self._closed:
                self.refused += 1
                raise OverloadedError(
                    f"{len(self._waiting)} searches wait for their queries to be encoded; try "
                    "again in a second"
                )
            asked = _Asked(key, texts, encode)
            self._waiting.append(asked)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lsr-queries", daemon=True)
                self._thread.start()
            self._changed.notify()
        return wait(asked.future)

    def close(self) -> None:
        """End the thread once the batch at hand is done; who waits then is told so."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        with sharing_cores():
            while batch := self._next():
                running = [each for each in batch if each.future.set_running_or_notify_cancel()]
                if running:
                    self._encode(running)
        for asked in self._waiting:
            asked.future.set_exception(OverloadedError("the server is stopping"))

    def _next(self) -> list[_Asked]:
        """Those of the one that waits longest that can go with it; empty: it is over."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return []
            first = self._waiting.popleft()
            batch, left, count = [first], [], len(first.texts)
            for asked in self._waiting:
                if asked.key == first.key and count + len(asked.texts) <= self._largest:
                    batch.append(asked)
                    count += len(asked.texts)
                else:
                    left.append(asked)
            self._waiting = deque(left)
            return batch

    def _encode(self, batch: Sequence[_Asked]) -> None:
        texts = list(dict.fromkeys(text for asked in batch for text in asked.texts))
        try:
            rows = dict(zip(texts, batch[0].encode(texts), strict=True))
        except BaseException as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
            # What is wrong with one is no fault of the others.
            for asked in batch if len(batch) > 1 else ():
                self._encode([asked])
            return
        with self._changed:
            self.batches += 1
            self.encoded += len(texts)
            for text in texts:
                if len(text) <= LONGEST_KEPT:
                    self._rows[batch[0].key, text] = rows[text]
            while len(self._rows) > MOST_KEPT:
                self._rows.popitem(last=False)
        for asked in batch:
            asked.future.set_result([rows[text] for text in asked.texts])


@contextmanager
def encoding_by(batches: QueryBatches | None, wait: Wait) -> Iterator[None]:
    """Within, models encode the queries of this thread together with those of others.

    None: each by itself.
    """
    before = getattr(_here, "batches", None)
    _here.batches = None if batches is None else (batches, wait)
    try:
        yield
    finally:
        _here.batches = before


def encoded_together(
    key: Hashable,
    texts: Sequence[str],
    encode: Callable[[Sequence[str]], RowsT],
    joined: Callable[[list[Any]], RowsT],
) -> RowsT:
    """What ``encode`` makes of texts, where it may be together with those of other threads.

    The sums of a model may differ in their last bits by what else is in a batch.

    Args:
        key: the same for the same model with the same settings.
        texts: what is encoded.
        encode: a row for each text; may be called in another thread.
        joined: rows as ``encode`` gives them.

    Raises:
        OverloadedError: too many wait.
    """
    found = getattr(_here, "batches", None)
    if found is None or not texts:
        return encode(texts)
    batches, wait = found
    return joined(batches.encode(key, texts, encode, wait))
