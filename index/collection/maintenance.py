"""Flush and merge: rows become segments, several segments become one, beside reads and writes.

A build reads one consistent state of the store, without the writer lock, and is published in one
short transaction; what was written or deleted meanwhile stays in the tail and in tombstones.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from index.collection.builder import Builder
from index.collection.file_lock import FileLock
from index.collection.segment import Segment, read_segment, write_segment
from index.collection.segment_table import (
    SEGMENTS,
    Current,
    SegmentEntry,
    SegmentTable,
    segment_file,
)
from index.collection.storage_errors import write_error
from index.collection.store import Store
from index.engines.array_room import Room, private
from index.engines.inverted_index import LARGEST_DOCUMENT_COUNT
from lsr.errors import LsrError, UsageError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MaintenanceConfig:
    """When segments are built."""

    # Rows newer than the segments that make a flush due, 1 or more; a collection of no more
    # documents is kept in one segment by ``flush``.
    flush_documents: int = 20_000
    # Adjacent segments of one size that are merged, a size being this many times the next smaller;
    # 2 or more.
    merge_factor: int = 4
    # A segment is rewritten once more than this share of its documents is deleted, and at least
    # ``fewest_deleted`` of them.
    deleted_share: float = 0.2
    fewest_deleted: int = 1_000
    # ``flush`` rebuilds all once this share of the documents has changed since it last did.
    changed_share: float = 0.1
    # Documents that one segment may hold.
    largest_segment: int = LARGEST_DOCUMENT_COUNT
    # Pause after a build that failed, or that another process is at.
    retry_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.flush_documents < 1 or self.merge_factor < 2:
            raise UsageError(
                f"flush_documents is {self.flush_documents} and merge_factor {self.merge_factor}; "
                "allowed are 1 or more, and 2 or more"
            )
        if not 1 <= self.largest_segment <= LARGEST_DOCUMENT_COUNT:
            raise UsageError(
                f"largest_segment is {self.largest_segment}; allowed are 1 to "
                f"{LARGEST_DOCUMENT_COUNT} documents"
            )


class Build(NamedTuple):
    """Segments to replace by one, adjacent and oldest first, and whether the tail joins them."""

    replaced: tuple[SegmentEntry, ...]
    tail: bool


def next_build(current: Current, config: MaintenanceConfig, flush: bool = False) -> Build | None:
    """The next build that is due, or None; ``flush`` makes any tail due."""
    tail = current.tail >= (1 if flush else config.flush_documents)
    sizes = [entry.live for entry in current.segments] + [current.tail] * tail
    run = _run_of_one_size(sizes, config)
    if run is not None and (part := _part_that_fits(sizes, *run, config.largest_segment)):
        start, end = part
        return Build(current.segments[start:end], tail and end == len(sizes))
    if tail:
        return Build((), True)
    for entry in current.segments:
        least = max(config.deleted_share * entry.documents, config.fewest_deleted - 1)
        if entry.deleted > least:
            return Build((entry,), False)
    return None


def _run_of_one_size(sizes: list[int], config: MaintenanceConfig) -> tuple[int, int] | None:
    """Start and end of the newest run with ``merge_factor`` of one tier and none of a higher."""
    tiers = [
        int(math.log(max(size / config.flush_documents, 1), config.merge_factor)) for size in sizes
    ]
    for tier in sorted(set(tiers)):
        end = len(tiers)
        while end > 0:
            start = end
            while start > 0 and tiers[start - 1] <= tier:
                start -= 1
            if tiers[start:end].count(tier) >= config.merge_factor:
                return start, end
            end = min(start, end - 1)
    return None


def _part_that_fits(sizes: list[int], start: int, end: int, largest: int) -> tuple[int, int] | None:
    """A run, or where one segment can't hold it the oldest part of it that is worth a segment.

    That is one of at least half as many documents again as the largest in it: no document is
    written anew for the sake of a few others.
    """
    if sum(sizes[start:end]) <= largest:
        return start, end
    for first in range(start, end):
        last = first + 1
        while last < end and sum(sizes[first : last + 1]) <= largest:
            last += 1
        part = sizes[first:last]
        if 2 * sum(part) >= 3 * max(part):
            return first, last
    return None


class Abandoned(Exception):  # noqa: N818
    """A background build was asked to stop."""


class Maintenance:
    """Builds and publishes segments, one at a time over all processes.

    Args:
        folder: the collection's directory.
        store: the truth.
        builder: reads and weighs rows.
        config: when what is due.
        adopt: takes the generation and the opened segment just before it is published, so that
            this process's readers need not open the file; None takes it back.
        room: where the arrays of such a segment live.
    """

    def __init__(
        self,
        folder: Path,
        store: Store,
        builder: Builder,
        config: MaintenanceConfig,
        adopt: Callable[[int, Segment | None], None],
        room: Room = private,
    ) -> None:
        self.config = config
        self.segments = folder / SEGMENTS
        self._store = store
        self._table = SegmentTable(store)
        self._builder = builder
        self._adopt = adopt
        self._room = room
        self._lock = FileLock(folder / "maintenance.lock")
        self._state = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pauses = 0
        # Why the last build in the background failed; None once one has succeeded.
        self.failure: Exception | None = None

    def path(self, generation: int) -> Path:
        """The file of a segment."""
        return segment_file(self.segments.parent, generation)

    def wake(self) -> None:
        """After a write: start the background thread where something is due.

        Raises nothing, for the write has succeeded whatever becomes of this.
        """
        with self._state:
            if self._thread is not None or self._pauses or self._store.read_only:
                return
            try:
                if self._due():
                    thread = threading.Thread(target=self._run, name="maintenance", daemon=True)
                    thread.start()
                    self._thread = thread
            except (sqlite3.Error, LsrError, RuntimeError) as error:
                log.error(
                    "no segment build could be started, the next write tries again: %s", error
                )

    def close(self) -> None:
        """Abandon what runs in the background, which loses nothing, and start no more."""
        self._pause()

    def flush(self) -> None:
        """Bring every row into a segment, and merge what is due.

        Where the documents are few, or many have changed since this last happened, the result is
        one segment weighed by the statistics of now; so a collection that was filled by any
        number of runs is the same as one filled by a single run.

        Raises:
            UsageError: the collection may only be read.
            LsrError: a segment can't be written.
        """
        self._store.check_writable()
        with self.exclusive():
            current = self._table.current()
            written = current.written
            if self._wants_whole():
                self._build(Build(current.segments, True), whole=True)
            while (current := self._table.current()).base < written:
                if found := next_build(current, self.config, flush=True):
                    self._build(found)
            while found := next_build(self._table.current(), self.config):
                self._build(found)

    def flushed(self) -> bool:
        """Whether a flush would change nothing."""
        with self._store.reading():
            current = self._table.current()
            whole = int(self._store.setting("optimised")) == current.written and not any(
                entry.deleted for entry in current.segments
            )
            due = next_build(current, self.config, flush=True)
            return due is None and (whole or not self._wants_whole())

    def rebuild(self, entries: tuple[SegmentEntry, ...]) -> None:
        """Replace each of the segments by one built anew, where it is still current."""
        with self.exclusive():
            for entry in entries:
                current = {now.generation for now in self._table.current().segments}
                if entry.generation in current:
                    self._build(Build((entry,), False))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """No segment is built or removed inside, but by the caller; waits for other processes.

        Who may only read takes no lock, for that makes a file: segments may be replaced then.
        """
        try:
            self._pause()
            with nullcontext() if self._store.read_only else self._lock.held(wait=math.inf):
                yield
        finally:
            with self._state:
                self._pauses -= 1
        self.wake()

    def _pause(self) -> None:
        with self._state:
            self._pauses += 1
            self._state.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _due(self) -> bool:
        return next_build(self._table.current(), self.config) is not None

    def _run(self) -> None:
        while True:
            try:
                with self._state:
                    if self._pauses or not self._due():
                        self._thread = None
                        return
                done = self._build_next()
            except Abandoned:
                continue
            # Whatever it is, searches and writes go on as before, and it is tried again.
            except Exception as error:
                log.error("a segment build failed and is retried later: %s", error)
                self.failure, done = error, False
            if not done:
                with self._state:
                    self._state.wait_for(lambda: self._pauses, self.config.retry_seconds)

    def _build_next(self) -> bool:
        with self._lock.held(wait=0) as locked:
            if locked and (found := next_build(self._table.current(), self.config)):
                self._build(found)
        return locked

    def _wants_whole(self) -> bool:
        documents = self._store.count()
        if self._store.count_rows() > self.config.largest_segment:
            return False
        if documents <= self.config.flush_documents:
            return True
        new = self._store.count_after(int(self._store.setting("optimised")))
        gone = int(self._store.setting("optimised_documents")) - (documents - new)
        return new + gone >= self.config.changed_share * documents

    def _build(self, wanted: Build, whole: bool = False) -> None:
        # Else its file would go into a collection that took the place of this one.
        self._store.check_in_place()
        # Whoever wants the segment before opens its file, in less memory than this takes beside it.
        self._adopt(self._table.current().generation, None)
        with self._store.reading():
            current = self._table.current()
            after = wanted.replaced[0].after if wanted.replaced else current.base
            last = current.written if wanted.tail else wanted.replaced[-1].last
            last = min(last, self._store.nth_after(after, self.config.largest_segment))
            everything = len(wanted.replaced) == len(current.segments)
            doubled = current.written >= 2 * current.weighed
            reweigh = everything and (whole or doubled or not current.segments)
            lengths = None if reweigh else current.average_lengths
            rows = self._builder.rows(after, last, lengths, self._go_on)
        segment, weighed_by = rows.segment(), rows.average_lengths
        # Of rows, built and opened segment, none is in memory longer than it must be.
        del rows
        self._go_on()
        entry = SegmentEntry(current.generation + 1, after, last, len(segment), 0)
        entry = self._write(entry, segment)
        del segment
        path = self.path(entry.generation)
        opened = read_segment(path, self._store.identity, entry, self._room)
        self._go_on()
        self._adopt(entry.generation, opened)
        try:
            with self._store.writing():
                self._table.publish(wanted.replaced, entry, current.deletions)
                if reweigh:
                    self._table.weigh(weighed_by, current.written)
                for field in self._store.fields:
                    if field.counted:
                        self._store.frequencies.compact(field.size)
                if whole:
                    documents = opened.count_documents(None)
                    self._store.change({"optimised": last, "optimised_documents": documents})
        except BaseException:
            self._adopt(entry.generation, None)
            raise
        self.failure = None
        self._remove_old()

    def _go_on(self) -> None:
        """Raise Abandoned in the background thread if it is to stop."""
        if threading.current_thread() is self._thread and self._pauses:
            raise Abandoned

    def _write(self, entry: SegmentEntry, segment: Segment) -> SegmentEntry:
        """Write a file; the entry with its digest."""
        path, collection = self.path(entry.generation), self._store.identity
        try:
            self.segments.mkdir(exist_ok=True)
            digest = write_segment(path, segment, collection, entry.generation)
            return entry._replace(digest=digest)
        except OSError as error:
            raise write_error(
                f"no segment can be written in {self.segments} ({error.strerror or error}); the "
                "documents are safe and searched from memory, see that the disk has space and "
                "works",
                error,
            ) from error

    def _remove_old(self) -> None:
        """Remove what is not current, of a killed build too. Files that are open stay readable."""
        kept = {self.path(entry.generation) for entry in self._table.current().segments}
        for path in self.segments.iterdir():
            if path not in kept:
                # Gone already, or a folder that someone put there.
                with suppress(OSError):
                    path.unlink()
