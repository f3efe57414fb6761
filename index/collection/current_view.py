"""The view of a collection's last committed write: made of what the one before it holds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.collection.builder import Builder
from index.collection.columns import Columns
from index.collection.field_encoders import FieldEncoders
from index.collection.segment import Segment
from index.collection.segment_opening import UnreadableSegment, open_segments, preload_segment
from index.collection.segment_table import Current, SegmentEntry, SegmentTable, segment_file
from index.collection.segment_view import SegmentView
from index.collection.store import Store
from index.collection.tail import LARGEST_PART, Tail
from index.engines.array_room import Room
from index.engines.document_mask import DocumentMask, living
from lsr.errors import CorruptionError

log = logging.getLogger(__name__)


class CurrentView:
    """What a process's searches read, for as long as nothing is written.

    Safe to use from several threads.

    Args:
        folder: the collection's directory.
        store: the truth.
        builder: makes parts of the rows that no segment has.
        columns: the metadata beside.
        fields: with their encoders.
        room: where the arrays of segments live.
    """

    def __init__(
        self,
        folder: Path,
        store: Store,
        builder: Builder,
        columns: Columns,
        fields: FieldEncoders,
        room: Room,
    ) -> None:
        self._folder = folder
        self._store = store
        self._builder = builder
        self._columns = columns
        self._fields = fields
        self._room = room
        self._segments = SegmentTable(store)
        self._view: SegmentView | None = None
        self._adopted: tuple[int, Segment] | None = None
        self._damaged: set[int] = set()
        self._refreshing = threading.Lock()
        self._pinned = threading.local()

    def _file(self, generation: int) -> Path:
        return segment_file(self._folder, generation)

    def is_at_hand(self) -> bool:
        """Whether the view of the last committed write is there, so that to pin it is no work."""
        return self._view is not None and self._view.revision == self._store.revision()

    @contextmanager
    def pinned(self) -> Iterator[SegmentView]:
        """The collection as of its last committed write; reads of the store inside see the same."""
        outer: SegmentView | None = getattr(self._pinned, "view", None)
        if outer is not None:
            yield outer
            return
        while True:
            try:
                with self._store.reading():
                    view = self._refresh()
                    if view is None:
                        continue
                    self._pinned.view = view
                    try:
                        yield view
                    finally:
                        self._pinned.view = None
                    return
            except UnreadableSegment as unreadable:
                self._note_damage(unreadable)

    def preload(self, engine: str = "native") -> None:
        """Have the segments in memory for a fork of this process, which opens the collection.

        Raises:
            CorruptionError: one is damaged.
        """
        with self._store.reading():
            identity, fields = self._store.identity, self._store.grown_fields()
            for entry in self._segments.current().segments:
                path = self._file(entry.generation)
                preload_segment(path, identity, entry, fields, engine, self._room)

    def adopt(self, generation: int, segment: Segment | None) -> None:
        """Keep the segment that was built last, and no other: an open file takes its space."""
        self._adopted = None if segment is None else (generation, segment)

    def _refresh(self) -> SegmentView | None:
        """The view of this thread's transaction; None where another thread has a later one."""
        revision = self._store.revision()
        view = self._view
        if view is None or view.revision < revision:
            with self._refreshing:
                view = self._view
                if view is None or view.revision < revision:
                    view = self._view = self._assemble(view, revision)
        return view if view.revision == revision else None

    def _assemble(self, previous: SegmentView | None, revision: int) -> SegmentView:
        """A view from what the previous one holds and what is new since."""
        current = self._segments.current()
        held: dict[int, tuple[Segment, DocumentMask | None]] = {}
        tail, died = Tail(), np.empty(0, np.int64)
        if previous is not None:
            held = {
                generation: (segment, alive)
                for generation, segment, alive in zip(
                    previous.generations, previous.segments, previous.alive, strict=False
                )
            }
            died = self._segments.died(since=previous.deletions)
            # A repair may have forgotten all segments, and then the tail begins anew.
            forgotten = bool(previous.generations) and not current.segments
            if previous.average_lengths == current.average_lengths and not forgotten:
                tail = previous.tail
        files = []
        missing = [entry for entry in current.segments if entry.generation not in held]
        opened = self._open_segments(missing, current.average_lengths)
        for entry in current.segments:
            if entry.generation in held:
                segment, alive = held[entry.generation]
                alive = living(segment.sequence, died, alive)
            else:
                segment = opened[entry.generation]
                dead = self._segments.dead(entry.after, entry.last)
                alive = living(segment.sequence, dead)
            files.append((segment, alive))
        tail = self._advance(tail, current, died)
        parts = files + [(part.segment, part.alive) for part in tail.parts]
        found = sum(part.count_documents(alive) for part, alive in parts)
        if found != (written := self._store.count()):
            raise CorruptionError(
                f"{found} documents are found where {written} were written; mend what can be "
                f"mended with: lsr check {self._folder} --repair"
            )
        return SegmentView(
            revision,
            tuple(entry.generation for entry in current.segments),
            tuple(segment for segment, _ in parts),
            tuple(alive for _, alive in parts),
            tail,
            current.average_lengths,
            current.deletions,
            self._fields,
            self._store,
            self._columns,
        )

    def _advance(self, tail: Tail, current: Current, died: NDArray[np.int64]) -> Tail:
        """The tail as of now, by as many rows at a time as a part of it holds."""
        after, last = max(tail.last, current.base), current.written
        # There are no more rows than numbers; to count them takes a while.
        while last - after > LARGEST_PART:
            end = min(last, self._store.nth_after(after, LARGEST_PART))
            new = self._builder.rows(after, end, current.average_lengths)
            tail, after = tail.advance(new, end, died, current.base), end
        new = self._builder.rows(after, last, current.average_lengths)
        return tail.advance(new, last, died, current.base)

    def _open_segments(
        self, entries: Sequence[SegmentEntry], average_lengths: Mapping[str, float]
    ) -> dict[int, Segment]:
        """Current segments; built in memory from the store where a file is known as damaged."""
        found: dict[int, Segment] = {}
        adopted = self._adopted
        for entry in entries:
            if entry.generation in self._damaged:
                rows = self._builder.rows(entry.after, entry.last, average_lengths)
                found[entry.generation] = rows.segment()
            elif adopted is not None and adopted[0] == entry.generation:
                found[entry.generation] = adopted[1]
        left = [entry for entry in entries if entry.generation not in found]
        if left:
            identity, fields = self._store.identity, self._store.grown_fields()
            opened = open_segments(self._file, identity, left, fields, self._room)
            found |= zip([entry.generation for entry in left], opened, strict=True)
        return found

    def _note_damage(self, unreadable: UnreadableSegment) -> None:
        """A file that can't be read is damaged, unless it was replaced since we looked it up."""
        if self._segments.is_current(unreadable.generation):
            log.warning("%s; it is rebuilt from the store in memory", unreadable)
            self._damaged.add(unreadable.generation)
