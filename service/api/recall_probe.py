"""The live recall probe: a share of approximate searches is repeated exactly, in idle time."""

from __future__ import annotations

import logging
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from index.collection.writable import Writable
from index.search.config import SearchConfig
from index.search.deadline import Deadline
from index.search.pipeline import search
from index.search.query import SearchQuery
from index.search.recall import recall
from index.search.result import SearchResult
from lsr.errors import LsrError
from lsr.threads import sharing_cores
from service.api.schemas.responses import RecallAnswer
from service.state.database import StateDatabase

if TYPE_CHECKING:
    from service.api.metrics import Metrics

SCHEMA = """
CREATE TABLE IF NOT EXISTS recall_probes (
    collection TEXT NOT NULL,
    hour INTEGER NOT NULL,
    queries INTEGER NOT NULL,
    recall REAL NOT NULL,
    PRIMARY KEY (collection, hour)
)
"""
# Searches that may wait to be repeated, and for how long one waits that nobody is at work.
MOST_WAITING, LONGEST_WAIT = 256, 60.0
POLL_SECONDS = 0.02
HOUR, KEPT_HOURS = 3600, 24
# As Linux ranks threads: this one has what no other wants.
LOWEST_PRIORITY = 19
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Answered:
    """A search that was answered, and what was answered: ids with scores, best first."""

    name: str
    collection: Writable
    revision: int
    query: SearchQuery
    config: SearchConfig
    found: list[tuple[str, float]]
    exact: bool


class _InterruptedError(Exception):
    """Somebody has work for the processor."""


class RecallProbe:
    """Repeats searches while nobody is at work, and keeps what share of the exact hits they had.

    It keeps means of an hour, for a day, in the server's state, where all its workers add theirs.

    Args:
        state: where they are kept.
        share: of the approximate searches, from 0 to 1, drawn by chance.
        at_work: whether requests are; asked often.
        metrics: is told of each search.
    """

    def __init__(
        self,
        state: StateDatabase,
        share: float,
        at_work: Callable[[], bool],
        metrics: Metrics | None = None,
    ) -> None:
        self._state, self._share = state, share
        self._at_work, self._metrics = at_work, metrics
        self._waiting: queue.Queue[_Answered | None] = queue.Queue(MOST_WAITING)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lsr-recall", daemon=True)
        state.define(SCHEMA)

    def start(self) -> None:
        """Begin to repeat what is offered."""
        self._thread.start()

    def close(self) -> None:
        """End; what still waits is given up."""
        self._ending.set()
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        if self._thread.is_alive():
            self._thread.join()

    def offer(
        self,
        collection: Writable,
        revision: int,
        query: SearchQuery,
        config: SearchConfig,
        result: SearchResult,
    ) -> None:
        """Perhaps repeat a search of a revision of a collection, some time."""
        if config.mode != "approximate" or random.random() >= self._share:  # noqa: S311
            return
        # What costs much, or would ask others, or has hits in another order than by score.
        if config.rerank or config.rewrite or config.cursor or config.sort or config.group_by:
            return
        found = [(hit.id, hit.score) for hit in result.hits]
        name = collection.fields.collection
        answered = _Answered(name, collection, revision, query, config, found, result.exact)
        try:
            self._waiting.put_nowait(answered)
        except queue.Full:
            self._skipped("full")

    def describe(self, collection: Writable) -> RecallAnswer | None:
        """What was found of the searches of the last day; None: none was repeated."""
        found = self._state.rows(
            "SELECT sum(queries), sum(recall), min(hour) FROM recall_probes "
            "WHERE collection = ? AND hour > ?",
            (collection.store.identity, _hour() - KEPT_HOURS),
        )
        queries, total, first = found[0]
        if not queries:
            return None
        since = datetime.fromtimestamp(first * HOUR, UTC).isoformat()
        return {"recall": total / queries, "queries": queries, "since": since}

    def _work(self) -> None:
        # Where that may not be said, the thread gives way between its looks all the same.
        with suppress(OSError):
            if sys.platform == "linux":
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
        while not self._ending.is_set():
            answered = self._waiting.get()
            if answered is not None:
                self._probe(answered)

    def _probe(self, answered: _Answered) -> None:
        try:
            share = 1.0 if answered.exact else self._repeated(answered)
            if share is not None:
                self._keep(answered, share)
        except _InterruptedError:
            self._skipped("busy")
        # Whatever it is, nobody waits for this.
        except Exception as error:
            known = isinstance(error, LsrError)
            log.warning("no recall of a search: %s", error, exc_info=None if known else error)
            self._skipped("failed")

    def _repeated(self, answered: _Answered) -> float | None:
        """Recall of what was answered; None where nothing is there to be found, or all is new."""
        config = replace(
            answered.config,
            mode="exact",
            effort=None,
            time_budget_ms=None,
            payload=False,
            highlight=False,
            explain=False,
            facets=(),
            exact_total=False,
            context_tokens=None,
        )
        end = time.monotonic() + LONGEST_WAIT
        while time.monotonic() < end and not self._ending.is_set():
            if self._at_work():
                time.sleep(POLL_SECONDS)
                continue
            try:
                with answered.collection.pinned() as view, sharing_cores():
                    if view.revision != answered.revision:
                        self._skipped("changed")
                        return None
                    deadline = Deadline(on_look=self._give_way)
                    exact = search(answered.collection, answered.query, config, deadline)
            except _InterruptedError:
                continue
            ranking = [(hit.id, hit.score) for hit in exact.hits]
            return recall(ranking, answered.found) if ranking else None
        raise _InterruptedError

    def _give_way(self) -> None:
        if self._at_work():
            raise _InterruptedError

    def _keep(self, answered: _Answered, share: float) -> None:
        hour = _hour()
        with self._state.writing() as connection:
            connection.execute(
                "INSERT INTO recall_probes VALUES (?, ?, 1, ?) ON CONFLICT (collection, hour) "
                "DO UPDATE SET queries = queries + 1, recall = recall + excluded.recall",
                (answered.collection.store.identity, hour, share),
            )
            connection.execute("DELETE FROM recall_probes WHERE hour <= ?", (hour - KEPT_HOURS,))
        if self._metrics is not None:
            self._metrics.probed(answered.name, share)

    def _skipped(self, reason: str) -> None:
        if self._metrics is not None:
            self._metrics.not_probed(reason)


def _hour() -> int:
    return int(time.time()) // HOUR
