"""Writes to a collection in Qdrant: by one writer at a time over all machines, whole or not at all.

Who writes holds a lease in the state. A commit is: rows under numbers reserved before, what they
change of the statistics, then the state, by compare and swap, then what that says to be dying is
deleted. A writer that is killed leaves rows behind that don't count; the next takes them away.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from index.collection.field import Field
from index.qdrant.conditions import Match
from index.qdrant.layout import (
    ALWAYS_INDEXED,
    RECORDS,
    Record,
    number_of,
    payload_indexes,
    record_number,
)
from index.qdrant.port import PayloadIndex, Point, QdrantPort
from index.qdrant.rows import Encoders, NewRows, OldDocument, changes_of, old_documents
from index.qdrant.state import Counted, Holder, State, read_state
from index.qdrant.statistics import Change, FrequencyLog
from index.qdrant.words import WordList, numbered, used_words
from lsr.corpus.documents import Document
from lsr.corpus.passages import Passage
from lsr.errors import ConflictError, InputError, LockedError, LsrError
from lsr.sparse import SparseBatch

# Seconds that a lease lasts, which each commit renews, and between two looks whether it is free.
LEASE, LOOK = 60.0, 0.1
# The setting of a copy that is not whole yet.
COPYING = "copying"
# Rows of documents that one commit deletes, at most but for the last document.
MOST_DYING = 4096
Vectors = Mapping[str, "SparseBatch | NDArray[np.float32]"]
log = logging.getLogger(__name__)


class Writing:
    """Writes documents, their vectors and what is counted of them.

    Args:
        port: of the collection.
        encoders: gives the encoder of a sparse field.
        words: of the open fields.
        frequencies: of the terms.
        place: how messages call the collection.
    """

    def __init__(
        self,
        port: QdrantPort,
        encoders: Encoders,
        words: WordList,
        frequencies: FrequencyLog,
        place: str,
    ) -> None:
        self._port = port
        self._encoders = encoders
        self._words = words
        self._frequencies = frequencies
        self._place = place
        self._token = secrets.token_hex(8)
        self._name = _name(os.getpid())
        self._threads = threading.RLock()
        self._state: State | None = None
        self._buried: tuple[int, ...] = ()
        self._indexed: set[tuple[str, PayloadIndex]] = set(ALWAYS_INDEXED)

    @property
    def state(self) -> State:
        """What is committed; while the lease is held."""
        assert self._state is not None
        return self._state

    @contextmanager
    def held(self, wait: float) -> Iterator[None]:
        """Hold the lease inside; re-entrant within a thread.

        Raises:
            LockedError: somebody has not let go of it within ``wait`` seconds.
        """
        deadline = time.monotonic() + wait
        if not self._threads.acquire(timeout=max(wait, 0)):
            raise LockedError(self._occupied("another thread of this process"))
        try:
            if self._state is not None:
                yield
                return
            self._take(deadline)
            try:
                self._clean()
                yield
            finally:
                self._let_go()
        finally:
            self._threads.release()

    def upsert(
        self,
        documents: Sequence[Document],
        vectors: Vectors,
        passages: Sequence[Sequence[Passage]],
    ) -> list[bool]:
        """Write documents of distinct ids in one commit; as of ``Collection.upsert``.

        Raises:
            ConflictError: the collection is half a copy.
            LockedError: another writer took over, as this one was away for longer than its lease.
        """
        self._check_whole()
        ids = [document.id for document in documents]
        old = old_documents(self._port, self.state, ids)
        if documents:
            first = self.state.reserved + 1
            numbers = range(first, first + len(documents))
            self._write(NewRows(numbers, documents, passages, vectors), list(old.values()))
        return [identifier not in old for identifier in ids]

    def delete(self, ids: Sequence[str]) -> set[str]:
        """Delete documents, so many rows in one commit; returns the ids that were there.

        Raises as ``upsert``.
        """
        self._check_whole()
        old = list(old_documents(self._port, self.state, ids).values())
        for part in in_commits(old):
            self._write(None, part)
        return {each.id for each in old}

    def copy(self, new: NewRows | None, old: Sequence[OldDocument]) -> None:
        """One commit of a copy: documents come under their numbers, and others go.

        Nothing is counted, for the statistics are copied too. Words have their terms.
        """
        state = self.state
        points: list[Point] = []
        if new is not None:
            last = max([*new.numbers, state.reserved])
            self.renew(lambda state: replace(state, reserved=last))
            state = replace(self.state, written=last)
            points = new.points(state.field_list, self._encoders, state.average_lengths)
        self._index(points)
        self._port.write(points)
        self._commit(_sized_after(state, new, old), {})
        self._bury()

    def _write(self, new: NewRows | None, old: Sequence[OldDocument]) -> None:
        """One commit: documents come, under numbers that nobody was given, and others go."""
        if self.state.reserved > self.state.written:
            self._clean()
        state = replace(self.state, source="")
        if new is not None:
            last = max(new.numbers)
            self.renew(lambda state: replace(state, reserved=last))
            new, words = self._with_words(new)
            state = replace(self.state, source="", words=words, written=last)
        fields = state.field_list
        added = new.changes(fields, self._encoders) if new is not None else {}
        changes = _difference(added, changes_of(old, fields, self._encoders))
        state = _counted_after(state, changes, added)
        points = []
        if new is not None:
            points = new.points(fields, self._encoders, state.average_lengths)
        try:
            self._index(points)
            self._port.write(points)
            self._commit(_sized_after(state, new, old), changes)
        except LockedError:
            # Nobody else has these numbers, and nobody will take them away.
            self._port.write([], [point.number for point in points])
            raise
        self._bury()

    def _check_whole(self) -> None:
        if COPYING in self.state.settings:
            raise ConflictError(
                f"{self._place} is a copy that is not whole yet; finish it with the same lsr push, "
                "and write then"
            )

    def change(self, changed: Callable[[State], State]) -> None:
        """Commit another state, of the same documents."""
        state = changed(self.state)
        self._swap(replace(state, revision=state.revision + 1, holder=self._holder()))

    def renew(self, changed: Callable[[State], State] = lambda state: state) -> None:
        """Begin the lease anew, noting what searches don't see."""
        self._swap(replace(changed(self.state), holder=self._holder()))

    def replace_statistics(
        self,
        counted: Mapping[str, Counted],
        totals: Mapping[str, NDArray[np.int64]],
    ) -> None:
        """Commit other statistics than those that were counted here."""
        before = self.state.log
        now = self._frequencies.replace(self.state, totals, self.state.version)
        self.change(lambda state: replace(state, counted=counted, log=now))
        self._frequencies.forget(before, now)

    def _with_words(self, new: NewRows) -> tuple[NewRows, int]:
        """The rows with the terms of their words, of which new ones are written, and how many."""
        batches = [rows for rows in new.vectors.values() if isinstance(rows, SparseBatch)]
        used = dict.fromkeys(word for rows in batches for word in used_words(rows).values())
        count = self.state.words
        numbers = self._words.numbers(used, count)
        added = [word for word in used if word not in numbers]
        # They are not read before the commit, for until then others may write other ones there.
        numbers |= {word: count + place for place, word in enumerate(added)}
        if added:
            self._words.write(added, count, self.state.version)
        count += len(added)
        vectors = {
            field.name: numbered(field, new.vectors[field.name], numbers, count)
            for field in self.state.field_list
        }
        return replace(new, vectors=vectors), count

    def _commit(self, state: State, changes: Mapping[str, Change]) -> None:
        before = self.state.log
        now = before
        if any(len(change.terms) for change in changes.values()):
            now = self._frequencies.write(self.state, changes, self.state.version)
        revision = state.revision + 1
        self._swap(replace(state, log=now, revision=revision, holder=self._holder()))
        self._frequencies.forget(before, now)

    def _index(self, points: Sequence[Point]) -> None:
        """Have Qdrant index the metadata that points have, where it does not yet."""
        wanted = payload_indexes(point.payload for point in points) - self._indexed
        for path, kind in sorted(wanted):
            self._port.index_payload(path, kind)
        self._indexed |= wanted

    def _bury(self) -> None:
        """Delete what is dying; the next change of the state notes that it is gone."""
        if self.state.dying:
            self._port.write([], self.state.dying)
            self._buried = self.state.dying

    def _clean(self) -> None:
        """Take away what a writer left behind that was killed."""
        state = self.state
        self._bury()
        strays = []
        if state.reserved > state.written:
            strays = [
                point.number
                for point in self._port.scroll(
                    after=number_of(state.written + 1) - 1, payload=False
                )
                if point.number < RECORDS
            ]
            self._port.write([], strays)
        if state.dying or state.reserved > state.written:
            self.renew(lambda state: replace(state, dying=(), written=state.reserved))

    def _take(self, deadline: float) -> None:
        while True:
            state = read_state(self._port)
            holder = state.holder
            is_free = holder.token in ("", self._token) or holder.until < time.time()
            if is_free or _has_died(holder.name):
                wanted = replace(state, holder=self._holder())
                if self._swapped(state, wanted):
                    return
            if time.monotonic() + LOOK > deadline:
                raise LockedError(self._occupied(holder.name or "another writer"))
            time.sleep(LOOK)

    def _let_go(self) -> None:
        state = self.state
        left = () if state.dying == self._buried else state.dying
        try:
            self._swapped(state, replace(state, holder=Holder(), dying=left))
        except LsrError as error:
            log.warning("the lease of %s is let go when it ends: %s", self._place, error)
        self._state = None

    def _swap(self, state: State) -> None:
        if not self._swapped(self.state, state):
            raise LockedError(
                f"{self._place} was written by another writer, as this one was away for longer "
                f"than {LEASE:.0f} seconds; run the same again"
            )

    def _swapped(self, before: State, after: State) -> bool:
        after = replace(after, version=before.version + 1)
        point = Point(record_number(Record.STATE), after.payload)
        self._port.write_if(point, Match("version", (before.version,)))
        if read_state(self._port) != after:
            return False
        self._state = after
        return True

    def _holder(self) -> Holder:
        return Holder(self._token, self._name, time.time() + LEASE)

    def _occupied(self, holder: str) -> str:
        return f"{holder} is writing to {self._place}; wait until it has finished"


def check_rows(
    documents: Sequence[Document],
    vectors: Vectors,
    passages: Sequence[Sequence[Passage]],
    fields: Sequence[Field],
) -> None:
    """Raise InputError where a field is missing or has another number of rows, or an id twice."""
    ids = {document.id for document in documents}
    if len(ids) != len(documents):
        raise InputError("the batch holds an id more than once; give each id once")
    rows = sum(max(len(parts), 1) for parts in passages) or len(documents)
    for field in fields:
        if len(vectors.get(field.name, ())) != rows:
            raise InputError(f"each document needs a vector for the field {field.name!r}")


def in_commits(old: Sequence[OldDocument]) -> Iterator[list[OldDocument]]:
    """Documents to delete, in parts that one commit takes."""
    part: list[OldDocument] = []
    rows = 0
    for each in old:
        part.append(each)
        rows += each.rows
        if rows >= MOST_DYING:
            yield part
            part, rows = [], 0
    if part:
        yield part


def _name(pid: int) -> str:
    """How a process is called among the machines."""
    return f"{socket.gethostname()}:{pid}"


def _has_died(name: str) -> bool:
    """Whether a process of this machine ended without a word; False where that can't be told."""
    pid = name.rpartition(":")[2]
    if not pid.isdecimal() or int(pid) == os.getpid() or name != _name(int(pid)):
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _difference(added: Mapping[str, Change], gone: Mapping[str, Change]) -> dict[str, Change]:
    names = [*added, *(name for name in gone if name not in added)]
    return {name: added.get(name, Change()) - gone.get(name, Change()) for name in names}


def _counted_after(
    state: State, changes: Mapping[str, Change], added: Mapping[str, Change]
) -> State:
    """The counts after changes; the first rows of a field give the average length to weigh by."""
    counted = dict(state.counted)
    for name, change in changes.items():
        after = change.applied(counted.get(name, Counted()))
        new = added.get(name)
        if not after.average and new is not None and new.rows:
            after = replace(after, average=new.length / new.rows)
        counted[name] = after
    return replace(state, counted=counted)


def _sized_after(state: State, new: NewRows | None, old: Sequence[OldDocument]) -> State:
    """The state with the numbers of documents and rows after a commit, and what is dying then."""
    parts = new.parts if new is not None else []
    split = [len(each) for each in parts if each]
    gone = [each.rows for each in old if each.rows > 1]
    return replace(
        state,
        documents=state.documents + len(parts) - len(old),
        rows=state.rows + len(parts) - len(split) + sum(split) - sum(each.rows for each in old),
        split=state.split + len(split) - len(gone),
        split_rows=state.split_rows + sum(split) - sum(gone),
        dying=tuple(number for each in old for number in each.numbers),
    )
