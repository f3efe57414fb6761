"""Whether a collection is what it should be: the store whole, and every segment equal to it."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.collection.builder import Rows
from index.collection.collection import Collection
from index.collection.field import Field
from index.collection.metadata import has_sound_values, metadata_rows
from index.collection.rows import name_of_row
from index.collection.search_defaults import check_search_defaults, search_defaults_text
from index.collection.segment import Segment
from index.collection.segment_opening import open_segment
from index.collection.segment_table import SegmentEntry
from index.collection.store import Store
from index.engines.document_mask import living
from index.engines.posting_list import half
from lsr.errors import CorruptionError, LsrError
from lsr.sparse import SparseBatch

ROWS_AT_A_TIME = 10_000
LAST_RESORT = "restore a snapshot, or index again"
# Settings that count numbers given, and the largest that is in use.
COUNTERS = {
    "written": "SELECT MAX((SELECT IFNULL(MAX(sequence), 0) FROM documents), "
    "(SELECT IFNULL(MAX(sequence), 0) FROM tombstones), "
    "(SELECT IFNULL(MAX(last), 0) FROM segments))",
    "deletions": "SELECT MAX(number) FROM tombstones",
    "generation": "SELECT MAX(generation) FROM segments",
}
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class CheckReport:
    """What was checked, one sentence for each problem, and what has one.

    ``damaged`` are segments; ``vectors`` has for each field the sequence numbers of documents
    or passages whose vector is damaged or missing, ``strays`` those of vectors without a document,
    and ``stray_passages`` those of passages without one. The rest
    tells whether the table of metadata, that of frequencies, those that say which segments are
    current and how much there is, and the structure of the file are what they should be.
    """

    documents: int = 0
    segments: int = 0
    weights: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)
    damaged: list[SegmentEntry] = dataclasses.field(default_factory=list)
    vectors: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    strays: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    stray_passages: list[int] = dataclasses.field(default_factory=list)
    metadata: bool = True
    frequencies: bool = True
    tables: bool = True
    structure: bool = True

    def sound_between(self, after: int, last: int) -> bool:
        """Whether the store can say what a segment of these sequence numbers should hold."""
        wrong = [*self.vectors.values(), *self.strays.values()]
        return self.tables and not any(after < n <= last for numbers in wrong for n in numbers)


def check(collection: Collection, on_progress: Progress = lambda done, total: None) -> CheckReport:
    """Verify a collection; others may read and write meanwhile, but no segment is built.

    The store: SQLite's integrity check, the checksum of each row, each document's digest, the
    values by which filters find it, and a well-formed vector for every field. Each segment: all
    checksums, and that the documents in it that live, and their weights in every field, are
    exactly what a build from the store gives. The side whose own checksum fails is to blame.

    Args:
        collection: what to check.
        on_progress: takes the steps done and their total.
    """
    with collection.maintenance.exclusive(), collection.store.reading():
        report = check_store(collection)
        entries = collection.segments.current().segments if report.tables else ()
        steps = 1 + len(entries)
        on_progress(1, steps)
        for done, entry in enumerate(entries, start=2):
            known = len(report.problems)
            _look(_segment_problems(collection, entry, report), report)
            if len(report.problems) > known:
                report.damaged.append(entry)
            on_progress(done, steps)
    return report


def check_store(collection: Collection) -> CheckReport:
    """The part of ``check`` that reads the store, and no segment."""
    report = CheckReport()
    with collection.store.reading():
        parts = _structure_problems, _document_problems, _passage_problems, _table_problems
        for part in parts:
            _look(part(collection, report), report)
        for field in collection.fields:
            _look(_vector_problems(collection, field, report), report)
    return report


def _look(problems: Iterator[str], report: CheckReport) -> None:
    """Note the problems; what can't even be read for them is one more."""
    try:
        report.problems.extend(problems)
    except CorruptionError as error:
        report.problems.append(str(error))
        report.structure = False
    except (sqlite3.Error, ValueError, TypeError, RecursionError) as error:
        report.problems.append(f"the store can't be read ({error}); {LAST_RESORT}")
        report.structure = False


def _structure_problems(collection: Collection, report: CheckReport) -> Iterator[str]:
    for (line,) in collection.store.connection.execute("PRAGMA integrity_check"):
        if line != "ok":
            report.structure = False
            yield f"SQLite finds {' '.join(str(line).split())!r}; {_mend(collection)}"


def _document_problems(collection: Collection, report: CheckReport) -> Iterator[str]:
    """Of texts, and of the metadata beside them that filters search, in one pass over both."""
    store = collection.store
    sequence = store.live().tolist()
    report.documents = len(sequence)
    if report.documents != len(collection):
        report.tables = False
        yield (
            f"{report.documents} documents are there where {len(collection)} were written; "
            f"{LAST_RESORT}"
        )
    values, keys = _filtered_values(store)
    for start in range(0, len(sequence), ROWS_AT_A_TIME):
        for row in store.document_rows(sequence[start : start + ROWS_AT_A_TIME]):
            number = row.head.sequence
            document = row.document()
            if document is None:
                values.pop(number, None)
                yield (
                    f"the text of the document {row.head.name} is damaged in the store; index it "
                    f"again, or restore a snapshot"
                )
                continue
            if row.head.digest != document.digest():
                yield f"the document {row.head.name} differs from its digest; {LAST_RESORT}"
            if document.metadata:
                for value in metadata_rows([(number, document.metadata)]):
                    values[number] += hash(value)
    wrong = sum(difference != 0 for difference in values.values())
    if wrong or not all(has_sound_values(store.connection, key) for key in keys):
        report.metadata = False
        yield f"the metadata of {wrong} documents is not what filters search; {_mend(collection)}"


def _filtered_values(store: Store) -> tuple[Counter[int], set[str]]:
    """For each document minus what the table of metadata has of it; and all keys."""
    values: Counter[int] = Counter()
    keys = set()
    try:
        for row in store.connection.execute("SELECT key, kind, value, sequence FROM metadata"):
            values[row[-1]] -= hash(row)
            keys.add(row[0])
        keys.update(row[0] for row in store.rows("SELECT key FROM tallies"))
    except sqlite3.OperationalError:
        # Text that is not valid UTF-8; no document has the number 0.
        values[0] += 1
    return values, keys


def _passage_problems(collection: Collection, report: CheckReport) -> Iterator[str]:
    store = collection.store
    damaged, report.stray_passages = store.passages.damaged(store.live().tolist())
    for number in damaged:
        yield (
            f"the passages of the document {name_of_row(store.connection, number)} are damaged in "
            "the store; index it again, or restore a snapshot"
        )
    if report.stray_passages:
        yield f"{len(report.stray_passages)} passages are of no document; {_mend(collection)}"


def _table_problems(collection: Collection, report: CheckReport) -> Iterator[str]:
    try:
        current = collection.segments.current()
        for entry in current.segments:
            dead = len(collection.segments.dead(entry.after, entry.last))
            live = len(collection.store.row_numbers(entry.after, entry.last)[0])
            if dead != entry.deleted or live != entry.live:
                report.tables = False
                yield (
                    f"the segment {entry.generation} has {entry.documents} documents, of which "
                    f"{entry.deleted} were deleted, and the store {live} and {dead} of them; "
                    f"{_mend(collection)}"
                )
        json.loads(collection.store.setting("average_lengths"))
        yield from _defaults_problems(collection)
        yield from _counter_problems(collection.store)
        if wrong := collection.store.dictionary.damaged():
            yield (
                f"{wrong} words of the dictionary are damaged or missing in the store; restore a "
                "snapshot, or index again into a new directory"
            )
        yield from _frequency_problems(collection, report)
    except CorruptionError as error:
        report.tables = False
        yield str(error)


def _defaults_problems(collection: Collection) -> Iterator[str]:
    try:
        check_search_defaults(search_defaults_text(collection.store))
    except CorruptionError as error:
        yield str(error)


def _frequency_problems(collection: Collection, report: CheckReport) -> Iterator[str]:
    field, store = collection.fields.counted, collection.store
    try:
        if field is None or store.frequencies.total(field.size).max() <= store.count_rows():
            return
        problem = f"a term is counted in more texts than there are; {_mend(collection)}"
    except CorruptionError as error:
        problem = str(error)
    report.frequencies = False
    yield problem


def _counter_problems(store: Store) -> Iterator[str]:
    """Numbers that are in use, and would be given again."""
    for name, query in COUNTERS.items():
        given, used = store.setting(name), store.value(query) or 0
        if type(given) is not int or given < used:
            yield f"the setting {name!r} is {given!r} where {used} is in use; {LAST_RESORT}"


def _vector_problems(collection: Collection, field: Field, report: CheckReport) -> Iterator[str]:
    store = collection.store
    damaged, strays = store.vectors.damaged(field)
    if strays:
        report.strays[field.name] = strays
        yield (
            f"{len(strays)} vectors of the field {field.name!r} are of no document; "
            f"{_mend(collection)}"
        )
    if damaged:
        report.vectors[field.name] = damaged
        for number in damaged:
            yield (
                f"the vector of the document {name_of_row(store.connection, number)} in the field "
                f"{field.name!r} is damaged or missing in the store; {_mend(collection)}"
            )
    elif not strays and not _is_well_formed(store, field):
        yield f"a vector of the field {field.name!r} is malformed; {LAST_RESORT}"


def _is_well_formed(store: Store, field: Field) -> bool:
    try:
        if field.kind == "dense":
            return bool(np.isfinite(store.vectors.dense(field)).all())
        return _well_formed(store.vectors.sparse(field))
    except CorruptionError:
        return False


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


def _segment_problems(
    collection: Collection, entry: SegmentEntry, report: CheckReport
) -> Iterator[str]:
    report.segments += 1
    path = collection.maintenance.path(entry.generation)
    advice = f"rebuild it with: lsr check {collection.path} --repair"
    try:
        store = collection.store
        segment = open_segment(path, store.identity, entry, store.grown_fields(), collection.room)
    except CorruptionError as error:
        yield f"{error}; {advice}"
        return
    if not report.sound_between(entry.after, entry.last):
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
    owners = expected.sequence if expected.owners is None else expected.owners
    if not (
        np.array_equal(segment.sequence[alive], expected.sequence)
        and np.array_equal(segment.documents[alive], owners)
    ):
        yield f"the segment {path} holds other documents than the store; {advice}"
        return
    for name, places in _differences(segment, expected, alive):
        first = collection.store.ids([int(owners[places[0]])])
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


def _mend(collection: Collection) -> str:
    return f"mend it with: lsr check {collection.path} --repair"
