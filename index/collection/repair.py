"""What a check found is mended from what is sound: segments, stored text, and the documents.

The truth of a vector is its row in the store. Where that row fails its checksum, a sound segment
has its weights, exactly, and the stored text can be encoded again. Text has no second copy.
"""

from __future__ import annotations

import dataclasses
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.collection.check import CheckReport, check
from index.collection.collection import STORE_FILE, Collection
from index.collection.commits import Commit, CommitsError, CommitsFile, last_commit
from index.collection.field import Field
from index.collection.file_lock import FileLock
from index.collection.new_database import create
from index.collection.rows import append_vectors
from index.collection.salvage import make_metadata, salvage
from index.collection.segment import Segment, open_segment
from index.collection.store import Store
from index.collection.vector_rows import Row, dense_rows, sparse_rows
from lsr.errors import CorruptionError, LockedError, LsrError

ROWS_AT_A_TIME = 1000


@dataclass(slots=True)
class RepairReport:
    """What was mended.

    ``recovered`` vectors were taken from segments, ``encoded`` were made again of their texts;
    ``tables`` were rebuilt of others. ``said`` has a sentence for what is lost or was refused.
    """

    segments: int = 0
    recovered: int = 0
    encoded: int = 0
    tables: int = 0
    said: list[str] = dataclasses.field(default_factory=list)

    @property
    def repaired(self) -> int:
        """How many things were mended."""
        return self.segments + self.recovered + self.encoded + self.tables


def repair(
    collection: Collection, report: CheckReport, done: RepairReport | None = None
) -> RepairReport:
    """Mend what a check found, as far as there is something sound to mend it from.

    Args:
        collection: what was checked.
        report: what the check found.
        done: what was mended before, which is added to and returned.

    Raises:
        LockedError: another process is writing.
        LsrError: the disk is full, or can't be written.
    """
    done = done or RepairReport()
    with collection.writing():
        if not report.structure:
            if not _rebuild_file(collection.store, done):
                return done
            report = check(collection)
        for name in report.vectors:
            _mend_vectors(collection, collection.fields.named(name), report, done)
        with collection.store.writing():
            for name, strays in report.strays.items():
                _remove_strays(collection.store, name, strays)
                done.tables += 1
            if report.stray_passages:
                collection.store.passages.remove(report.stray_passages)
                done.tables += 1
            if not report.frequencies:
                collection.frequencies.recount()
                done.tables += 1
            if not report.metadata:
                connection = collection.store.connection
                make_metadata(connection, connection)
                done.tables += 1
        if not report.tables:
            _forget_segments(collection, done)
        elif report.damaged:
            collection.maintenance.rebuild(tuple(report.damaged))
            done.segments += len(report.damaged)
    return done


def accept_commits(folder: Path, done: RepairReport) -> str | None:
    """Where a store is not at the commit that was the last, have it go on from what there is.

    That is its file with or without the log beside it, whichever is at the later commit of the
    collection's own. A log that is left out is set aside, under another name.

    Args:
        folder: of the collection; no process may serve it meanwhile.
        done: is told what is lost.

    Returns:
        What was wrong; None: nothing.

    Raises:
        LockedError: another process is writing.
        CorruptionError: the store can't be read at all.
    """
    path = folder / STORE_FILE
    commits = CommitsFile.of(path)
    try:
        Store(path).close()
    except CommitsError as error:
        problem = str(error)
    else:
        return None
    with FileLock(folder / "writer.lock").held(wait=0) as locked:
        if not locked:
            raise LockedError(f"another process is writing to {folder}; stop it first")
        newest: Commit | None = None
        with suppress(CommitsError):
            newest = commits.newest()
        alone, whole = _commit_in(path, "immutable=1"), _commit_in(path, "mode=ro")
        found = [commit for commit in (whole, alone) if commit is not None]
        own = [commit for commit in found if newest and commit.identity == newest.identity]
        if not found:
            raise CorruptionError(f"{problem.partition(';')[0]}; nothing can be mended")
        accepted = max(own or found, key=lambda commit: commit.revision)
        journal = Path(f"{path}-wal")
        if accepted != whole and journal.exists():
            aside = journal.with_name(f"{journal.name}.aside")
            journal.replace(aside)
            Path(f"{path}-shm").unlink(missing_ok=True)
            done.said.append(f"the log {journal.name} was set aside as {aside.name}")
        commits.create(accepted)
    lost = newest.revision - accepted.revision if newest and own else 0
    done.said.append(
        f"the last {lost} commits are given up" if lost > 0 else "no commit that is known is lost"
    )
    return problem


def _commit_in(path: Path, option: str) -> Commit | None:
    """The last commit in the file of a store as SQLite reads it; None where it can't."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?{option}", uri=True)) as store:
            return last_commit(store, path)[0]
    except (sqlite3.Error, CorruptionError):
        return None


def _rebuild_file(store: Store, done: RepairReport) -> bool:
    """Write all tables into a new file, row by row, and copy it over the old one in one step.

    Nothing is changed where documents would be missing.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".repair.", dir=store.path.parent) as place:
            copy = Path(place, "store.sqlite")
            with closing(create(copy, {})) as rebuilt:
                salvage(store.connection, rebuilt, store.fields)
                (count,) = rebuilt.execute("SELECT COUNT(*) FROM documents").fetchone()
                if count != store.count():
                    done.said.append(
                        f"only {count} of {store.count()} documents can be read, so the store "
                        "is left as it is; restore a snapshot"
                    )
                    return False
                rebuilt.backup(store.connection)
    except sqlite3.DatabaseError as error:
        done.said.append(
            f"the store can't be read to its end ({error}), so it is left as it is; restore a "
            "snapshot"
        )
        return False
    done.tables += 1
    return True


def _mend_vectors(
    collection: Collection, field: Field, report: CheckReport, done: RepairReport
) -> None:
    left = report.vectors[field.name]
    recovered = [] if field.weighed else list(_rows_of_segments(collection, field, left))
    kept = {row[0] for row in recovered}
    left = [number for number in left if number not in kept]
    encoded = _encoded_rows(collection, field, left, done)
    with collection.store.writing():
        append_vectors(collection.store.connection, field.name, recovered + encoded)
    done.recovered += len(recovered)
    done.encoded += len(encoded)


def _rows_of_segments(
    collection: Collection, field: Field, numbers: Sequence[int]
) -> Iterator[Row]:
    """Rows of a field that stores weights, from those segments that are sound."""
    try:
        entries = collection.segments.current().segments
    except LsrError:
        return
    for entry in entries:
        covered = [number for number in numbers if entry.after < number <= entry.last]
        if not covered:
            continue
        try:
            path, store = collection.maintenance.path(entry.generation), collection.store
            segment = open_segment(path, store.identity, entry, store.grown_fields())
        except LsrError:
            continue
        yield from _rows_of(segment, field, covered)


def _rows_of(segment: Segment, field: Field, numbers: Sequence[int]) -> Iterator[Row]:
    held = np.isin(segment.sequence, numbers)
    found = segment.sequence[held].tolist()
    if field.kind == "dense":
        return dense_rows(found, segment.vectors[field.name][held])
    return sparse_rows(found, segment.sparse_rows(field.name).select(held))


def _encoded_rows(
    collection: Collection, field: Field, numbers: Sequence[int], done: RepairReport
) -> list[Row]:
    """Rows made of the stored texts, where these are sound and the encoder can be had."""
    rows: list[Row] = []
    all_texts = collection.store.row_texts(numbers)
    try:
        for start in range(0, len(all_texts), ROWS_AT_A_TIME):
            part = dict(list(all_texts.items())[start : start + ROWS_AT_A_TIME])
            texts = list(part.values())
            if field.kind == "dense":
                vectors = collection.fields.dense_encoder(field).encode_documents(texts)
                rows += dense_rows(part, vectors)
            else:
                batch = collection.fields.encoder(field).encode_documents(texts)
                with collection.store.writing():
                    batch = collection.store.dictionary.numbered(field, batch)
                rows += sparse_rows(part, batch)
    except LsrError as error:
        done.said.append(
            f"{len(numbers)} vectors of the field {field.name!r} can't be encoded again: {error}"
        )
    return rows


def _remove_strays(store: Store, field: str, numbers: Sequence[int]) -> None:
    store.connection.executemany(
        "DELETE FROM vectors WHERE field = ? AND sequence = ?",
        [(field, number) for number in numbers],
    )


def _forget_segments(collection: Collection, done: RepairReport) -> None:
    """Count the documents again, and make new segments of all of them."""
    store = collection.store
    try:
        with store.writing():
            found, count = len(store.live()), store.count()
            collection.segments.clear()
            collection.segments.weigh(collection.builder.average_lengths(), store.written())
            store.change({"documents": found})
        collection.maintenance.flush()
    except LsrError as error:
        done.said.append(f"the segments can't be made anew: {error}")
        return
    if found != count:
        done.said.append(
            f"{count} documents were written and {found} are there; restore a snapshot to have the "
            "others back"
        )
    done.tables += 1
    done.segments += len(collection.segments.current().segments)
