"""Whether a collection is what it should be: the store whole, and every segment equal to it."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.collection.builder import Rows
from index.collection.collection import Collection
from index.collection.field import Field
from index.collection.metadata import metadata_rows
from index.collection.segment import Segment, read_segment, validate_segment
from index.collection.segment_table import Current, SegmentEntry
from index.engines.document_mask import living
from index.engines.posting_list import half
from lsr.errors import CorruptionError, LsrError
from lsr.sparse import SparseBatch

DIGESTS_AT_A_TIME = 10_000
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class CheckReport:
    """What was checked, one sentence for each problem, and the segments that have one."""

    documents: int = 0
    segments: int = 0
    weights: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)
    damaged: list[SegmentEntry] = dataclasses.field(default_factory=list)


def check(collection: Collection, on_progress: Progress = lambda done, total: None) -> CheckReport:
    """Verify a collection; others may read and write meanwhile, but no segment is built.

    The store: SQLite's integrity check, each document's digest, the values by which filters find
    it, and a well-formed vector for every field. Each segment: all checksums, and that the
    documents in it that live, and their weights in every field, are exactly what a build from the
    store gives.

    Args:
        collection: what to check.
        on_progress: takes the steps done and their total.
    """
    report = CheckReport()
    try:
        with collection.maintenance.exclusive(), collection.store.reading():
            current = collection.segments.current()
            steps = 1 + len(current.segments)
            report.problems += _store_problems(collection, report)
            report.problems += _table_problems(current)
            on_progress(1, steps)
            sound = not report.problems
            for done, entry in enumerate(current.segments, start=2):
                problems = list(_segment_problems(collection, entry, report, compare=sound))
                if problems:
                    report.problems += problems
                    report.damaged.append(entry)
                on_progress(done, steps)
    except (sqlite3.DatabaseError, ValueError) as error:
        report.problems.append(
            f"the store {collection.store.path} can't be read ({error}); restore a snapshot"
        )
    return report


def repair(collection: Collection, report: CheckReport) -> int:
    """Rebuild from the store the segments that a check found damaged; returns how many."""
    collection.maintenance.rebuild(tuple(report.damaged))
    return len(report.damaged)


def _store_problems(collection: Collection, report: CheckReport) -> Iterator[str]:
    store = collection.store
    advice = "the store is damaged; restore a snapshot"
    for (line,) in store.connection.execute("PRAGMA integrity_check"):
        if line != "ok":
            yield f"SQLite finds {' '.join(str(line).split())!r}; {advice}"
    sequence = store.live().tolist()
    report.documents = len(sequence)
    # For each document, over the rows it should have less those it has; 0 where they are the same.
    values: Counter[int] = Counter()
    for row in store.metadata_rows():
        values[row[-1]] -= hash(row)
    for start in range(0, len(sequence), DIGESTS_AT_A_TIME):
        documents = store.documents(sequence[start : start + DIGESTS_AT_A_TIME])
        digests = store.digests([document.id for document in documents.values()])
        for document in documents.values():
            if digests.get(document.id) != document.digest():
                yield f"the document {document.id!r} differs from its digest; {advice}"
        metadata = ((number, document.metadata) for number, document in documents.items())
        for row in metadata_rows(metadata):
            values[row[-1]] += hash(row)
    if wrong := sum(difference != 0 for difference in values.values()):
        yield f"the metadata of {wrong} documents is not what filters search; {advice}"
    for field in collection.fields:
        yield from (f"{reason}; {advice}" for reason in _vector_problems(collection, field))


def _vector_problems(collection: Collection, field: Field) -> Iterator[str]:
    store = collection.store
    unpaired = store.unpaired(field)
    if unpaired:
        yield f"{unpaired} documents and vectors of the field {field.name!r} lack each other"
        return
    try:
        if field.kind == "dense":
            well_formed = bool(np.isfinite(store.dense_vectors(field)).all())
        else:
            well_formed = _well_formed(store.sparse_vectors(field))
    except ValueError:
        well_formed = False
    if not well_formed:
        yield f"a vector of the field {field.name!r} is malformed"


def _well_formed(batch: SparseBatch) -> bool:
    """Terms ascending within their row and in the vocabulary, weights finite and not negative."""
    if len(batch.indices) != len(batch.values):
        return False
    terms = batch.indices.astype(np.int64)
    rows = np.repeat(np.arange(len(batch), dtype=np.int64), np.diff(batch.indptr))
    inside = ((terms >= 0) & (terms < batch.vocabulary_size)).all()
    ascending = (np.diff(rows * batch.vocabulary_size + terms) > 0).all()
    weighed = (np.isfinite(batch.values) & (batch.values >= 0)).all()
    return bool(inside and ascending and weighed)


def _table_problems(current: Current) -> Iterator[str]:
    end = 0
    for entry in current.segments:
        if entry.after != end or entry.last < entry.after:
            yield (
                f"the segment {entry.generation} covers {entry.after} to {entry.last}, which does "
                f"not follow {end}; index again, or restore a snapshot"
            )
        end = entry.last


def _segment_problems(
    collection: Collection, entry: SegmentEntry, report: CheckReport, compare: bool
) -> Iterator[str]:
    report.segments += 1
    path = collection.maintenance.path(entry.generation)
    advice = f"rebuild it with: lsr check {collection.path} --repair"
    try:
        segment = read_segment(path, collection.store.identity, entry)
        validate_segment(path, segment, entry, collection.store.fields)
    except CorruptionError as error:
        yield f"{error}; {advice}"
        return
    if not compare:
        return
    averages = dict(collection.segments.current().average_lengths)
    if dict(segment.average_lengths) != averages:
        yield (
            f"the segment {path} is weighed by the average lengths {dict(segment.average_lengths)},"
            f" the collection by {averages}; {advice}"
        )
        return
    try:
        expected = collection.builder.rows(entry.after, entry.last, segment.average_lengths)
    except LsrError as error:
        yield f"the segment {path} can't be compared with the store: {error}"
        return
    dead = collection.segments.dead(entry.after, entry.last)
    mask = living(segment.sequence, dead)
    alive = np.ones(len(segment), np.bool_) if mask is None else mask.allowed != 0
    if not np.array_equal(segment.sequence[alive], expected.sequence):
        yield f"the segment {path} holds other documents than the store; {advice}"
        return
    for name, places in _differences(segment, expected, alive):
        first = collection.store.ids([int(expected.sequence[places[0]])])
        yield (
            f"the segment {path} differs from the store in the field {name!r} of {len(places)} "
            f"documents, the first being {next(iter(first.values()))!r}; {advice}"
        )
    report.weights += sum(batch.nnz for batch in expected.sparse.values())
    report.weights += sum(vectors.size for vectors in expected.vectors.values())


def _differences(
    segment: Segment, expected: Rows, alive: NDArray[np.bool_]
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Each field that differs, with the places of the rows of ``expected`` that do."""
    for name, batch in expected.sparse.items():
        places = _differing_rows(segment.sparse_rows(name).select(alive), batch)
        if len(places):
            yield name, places
    for name, vectors in expected.vectors.items():
        places = np.flatnonzero((segment.vectors[name][alive] != vectors).any(axis=1))
        if len(places):
            yield name, places


def _differing_rows(held: SparseBatch, stored: SparseBatch) -> NDArray[np.int64]:
    """Places where rows differ, after rounding to float16 as segments do."""
    rounded = half(stored.values)
    wanted = SparseBatch(
        stored.indptr, stored.indices, rounded.astype(np.float32), stored.vocabulary_size
    ).keep(rounded > 0)
    lengths = np.diff(wanted.indptr)
    wrong = np.diff(held.indptr) != lengths
    if wrong.any():
        held, wanted = held.select(~wrong), wanted.select(~wrong)
    unequal = (held.indices != wanted.indices) | (held.values != wanted.values)
    rows = np.repeat(np.flatnonzero(~wrong), lengths[~wrong])
    return np.union1d(np.flatnonzero(wrong), rows[unequal])
