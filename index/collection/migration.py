"""From the formats of earlier releases to this one; nothing is encoded.

What version 3 lacks is added in one transaction.

Of version 2, rows are packed and get their checksums. The store is copied beside the old one,
transaction by transaction, so that a run that was killed goes on where it was; compared with it row
by row; and then written over it in one transaction of SQLite. Who has the old store open sees the
tables change, and fails instead of writing to a file that is no longer there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from index.collection.collection import STORE_FILE, Collection
from index.collection.commits import CommitsFile, check_commit, last_commit
from index.collection.field import Field, load_fields
from index.collection.file_lock import FileLock
from index.collection.metadata import append_metadata, has_sound_values
from index.collection.new_database import check_sqlite, create
from index.collection.rows import (
    VectorRow,
    append_documents,
    append_vectors,
    document_rows,
    vector_rows,
)
from index.collection.schema import (
    APPLICATION_ID,
    FREQUENCIES,
    MIGRATED_VERSION,
    OLDER_VERSION,
    SCHEMAS,
    VERSION,
    row_checksum,
)
from index.collection.segment import read_segment
from index.collection.settings import read_setting, write_settings
from index.collection.storage_errors import write_error
from index.collection.vector_rows import Row, sparse_rows, sparse_vector
from index.engines.posting_list import half
from lsr.corpus.documents import Document
from lsr.errors import CorruptionError, LockedError, NotFoundError, UsageError
from lsr.sparse import SparseBatch, SparseVector

ROWS_AT_A_TIME = 1000
KEPT_SETTINGS = (
    "fields",
    "revision",
    "generation",
    "average_lengths",
    "weighed",
    "optimised",
    "optimised_documents",
)
Progress = Callable[[int, int], None]


class MigrationReport(NamedTuple):
    """What was migrated: from which format version, and how much; ``version`` is now the same."""

    version: int
    documents: int
    segments: int


def migrate(folder: Path, on_progress: Progress = lambda done, total: None) -> MigrationReport:
    """Bring a collection to the format of this release.

    Args:
        folder: the collection; what it holds stays as it is until the copy is verified.
        on_progress: takes the documents copied and compared, and their total.

    Raises:
        NotFoundError: there is none.
        UsageError: it has this format already, or one that is too old.
        LockedError: another process is writing to it.
        CorruptionError: it is damaged.
        LsrError: the disk is full, or can't be written.
    """
    path = folder / STORE_FILE
    check_sqlite()
    with ExitStack() as stack:
        version = _version(path)
        for name in ("writer.lock", "maintenance.lock"):
            if not stack.enter_context(FileLock(folder / name).held(wait=0)):
                raise LockedError(f"another process is writing to {folder}; stop it first")
        if version in (MIGRATED_VERSION, OLDER_VERSION):
            try:
                if version == MIGRATED_VERSION:
                    _migrate_store(path, on_progress)
                else:
                    _extend_store(path)
            except (OSError, sqlite3.OperationalError) as error:
                raise write_error(
                    f"the collection {folder} can't be migrated ({error}) and is as it was; see "
                    "that its disk has space for two copies more, and run the same command again",
                    error,
                ) from error
            except sqlite3.DatabaseError as error:
                raise CorruptionError(f"the store {path} is damaged: {error}") from error
    _remove(path.with_suffix(".migrating"))
    with closing(Collection.open(folder)) as collection:
        rebuilt = _rebuild_segments(collection)
        if version == VERSION and not rebuilt:
            raise UsageError(f"the collection {folder} has format version {VERSION} already")
        segments = len(collection.segments.current().segments)
        return MigrationReport(version, len(collection), segments)


def _version(path: Path) -> int:
    if not path.is_file():
        raise NotFoundError(f"there is no collection at {path.parent}; nothing can be migrated")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as store:
            (kind,) = store.execute("PRAGMA application_id").fetchone()
            (version,) = store.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise CorruptionError(f"{path} is not a collection: {error}") from error
    if kind != APPLICATION_ID:
        raise CorruptionError(f"{path} is an SQLite file but not a collection")
    if version not in SCHEMAS:
        raise UsageError(
            f"the collection {path.parent} has format version {version}, and what can be migrated "
            f"are versions {MIGRATED_VERSION} and {OLDER_VERSION}; use the release that wrote it, "
            "or index again"
        )
    return int(version)


def _extend_store(path: Path) -> None:
    """Add what the format before this one lacks."""
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        check_commit(store, CommitsFile.of(path))
        store.execute("BEGIN IMMEDIATE")
        store.execute(FREQUENCIES)
        write_settings(store, {"frequencies": 0})
        store.execute(f"PRAGMA user_version = {VERSION}")
        store.execute("COMMIT")


def _migrate_store(path: Path, on_progress: Progress) -> None:
    temporary = path.with_suffix(".migrating")
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("BEGIN")
        fields = load_fields(_old_setting(old, "fields"))
        total = 2 * old.execute("SELECT COUNT(*) FROM documents").fetchone()[0]
        with closing(_copy_begun(temporary, old)) as new:
            new.execute("PRAGMA synchronous = NORMAL")
            done = 0
            for step in (_copy_rows, _compare_rows):
                for count in step(old, new, fields):
                    done += count
                    on_progress(min(done, total), total)
            _copy_tables(old, new)
            _compare_tables(old, new)
            old.execute("COMMIT")
            # Before the store: the old format knows no such file, and the new one can't lack it.
            CommitsFile.of(path).create(last_commit(new, path)[0])
            new.backup(old)


def _copy_begun(temporary: Path, old: sqlite3.Connection) -> sqlite3.Connection:
    """The copy: what a killed run left of the same state of the old store, or a new one."""
    revision = int(_old_setting(old, "revision"))
    if temporary.exists():
        new = sqlite3.connect(temporary, isolation_level=None)
        try:
            if read_setting(new, temporary, "migrated_revision") == revision:
                return new
        except CorruptionError:
            pass
        new.close()
        _remove(temporary)
    return create(temporary, {"migrated_revision": revision, "migrated_until": 0})


def _remove(temporary: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{temporary}{suffix}").unlink(missing_ok=True)


def _copy_rows(
    old: sqlite3.Connection, new: sqlite3.Connection, fields: list[Field]
) -> Iterator[int]:
    """Copy documents, vectors and metadata, some at a time; yields how many."""
    copied = int(read_setting(new, Path(), "migrated_until"))
    yield old.execute("SELECT COUNT(*) FROM documents WHERE sequence <= ?", (copied,)).fetchone()[0]
    while rows := _old_documents(old, copied):
        last = rows[-1][0]
        new.execute("BEGIN")
        append_documents(new, rows)
        append_metadata(new, ((row[0], json.loads(row[4])) for row in rows))
        for field in fields:
            vectors = _old_vectors(old, field.name, copied, last)
            append_vectors(new, field.name, _packed(vectors, field))
        write_settings(new, {"migrated_until": last})
        new.execute("COMMIT")
        copied = last
        yield len(rows)


def _compare_rows(
    old: sqlite3.Connection, new: sqlite3.Connection, fields: list[Field]
) -> Iterator[int]:
    """Raise CorruptionError unless all rows are sound and the same; yields how many were."""
    after = 0
    while rows := _old_documents(old, after):
        last = rows[-1][0]
        span = (after, last)
        between = "sequence > ? AND sequence <= ? ORDER BY sequence"
        copies = document_rows(new, between, span)
        for row, copy in zip_longest(rows, copies):
            if row is None or copy is None or copy.document() != _document(row):
                raise _differs(f"document number {copy.head.sequence if copy else row[0]}")
        for field in fields:
            originals = _old_vectors(old, field.name, after, last)
            packed = vector_rows(new, field.name, between, span)
            for vector, held in zip_longest(originals, packed):
                if (
                    vector is None
                    or held is None
                    or not held.is_sound(field.name)
                    or _unpacked(held, field) != vector
                ):
                    raise _differs(f"vectors of the field {field.name!r}")
        after = last
        yield len(rows)


def _old_documents(
    old: sqlite3.Connection, after: int
) -> list[tuple[int, str, str, str, str, bytes]]:
    """The next rows, each of which is as its digest says."""
    rows = old.execute(
        "SELECT sequence, id, title, text, metadata, digest FROM documents WHERE sequence > ? "
        "ORDER BY sequence LIMIT ?",
        (after, ROWS_AT_A_TIME),
    ).fetchall()
    for row in rows:
        if _document(row).digest() != row[5]:
            raise CorruptionError(
                f"the document {row[1]!r} is damaged; index it again, or delete it, with the "
                "release that wrote the collection"
            )
    return rows


def _document(row: tuple[int, str, str, str, str, bytes]) -> Document:
    return Document(row[1], row[3], row[2], json.loads(row[4]))


def _old_vectors(
    old: sqlite3.Connection, field: str, after: int, last: int
) -> list[tuple[int, bytes | None, bytes]]:
    """Sequence number, terms (int32; None in a dense field) and weights (float16, or float32)."""
    return old.execute(
        "SELECT sequence, terms, weights FROM vectors "
        "WHERE field = ? AND sequence > ? AND sequence <= ? ORDER BY sequence",
        (field, after, last),
    ).fetchall()


def _packed(rows: list[tuple[int, bytes | None, bytes]], field: Field) -> list[Row]:
    """Rows of the old format as this one has them."""
    if field.kind == "dense":
        return rows
    try:
        vectors = [
            SparseVector(
                np.frombuffer(terms or b"", dtype=np.int32),
                np.frombuffer(weights, dtype=np.float16).astype(np.float32),
            )
            for _, terms, weights in rows
        ]
        batch = SparseBatch.from_rows(vectors, field.size)
        return list(sparse_rows([row[0] for row in rows], batch))
    except ValueError as error:
        raise CorruptionError(
            f"a vector of the field {field.name!r} is malformed; index its document again, with "
            "the release that wrote the collection"
        ) from error


def _unpacked(row: VectorRow, field: Field) -> tuple[int, bytes | None, bytes] | None:
    """A sound row as the old format has it; None where it is malformed."""
    if field.kind == "dense":
        return row.sequence, row.terms, row.weights
    vector = sparse_vector(row.terms, row.weights)
    if vector is None:
        return None
    return row.sequence, vector.indices.tobytes(), half(vector.values).tobytes()


def _copy_tables(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """What says how far things are; small, and so always copied whole."""
    settings: dict[str, Any] = {name: _old_setting(old, name) for name in KEPT_SETTINGS}
    if (vocabulary := _old_setting(old, "vocabulary")) is not None:
        settings["vocabulary"] = vocabulary
    counters = dict(old.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    settings |= {
        "written": counters.get("documents", 0),
        "deletions": counters.get("tombstones", 0),
        "documents": old.execute("SELECT COUNT(*) FROM documents").fetchone()[0],
    }
    new.execute("BEGIN")
    new.execute("DELETE FROM tombstones")
    new.executemany(
        "INSERT INTO tombstones VALUES (?, ?, ?)",
        (
            (*row, row_checksum(*row))
            for row in old.execute("SELECT number, sequence FROM tombstones")
        ),
    )
    new.execute("DELETE FROM segments")
    new.executemany(
        "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            # No file has this digest: segments are built anew, which takes no encoder.
            (*row, b"", row_checksum(*row[:4], b""))
            for row in old.execute(
                "SELECT generation, after, last, documents, deleted FROM segments"
            )
        ),
    )
    write_settings(new, settings)
    new.execute("COMMIT")


def _compare_tables(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    query = "SELECT key, kind, value, sequence FROM metadata ORDER BY 1, 2, 3, 4"
    if any(a != b for a, b in zip_longest(old.execute(query), new.execute(query))):
        raise _differs("metadata")
    for (key,) in new.execute("SELECT key FROM tallies").fetchall():
        if not has_sound_values(new, key):
            raise _differs("metadata")


def _differs(what: str) -> CorruptionError:
    return CorruptionError(
        f"the {what} of the migrated store is not what the old one has; it was not put in its "
        "place, and the collection is as it was"
    )


def _old_setting(old: sqlite3.Connection, name: str) -> Any:
    row = old.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return None if row is None else row[0]


def _rebuild_segments(collection: Collection) -> int:
    """Build anew, of stored vectors, the segments that this release can't read."""
    unread = []
    for entry in collection.segments.current().segments:
        try:
            path = collection.maintenance.path(entry.generation)
            read_segment(path, collection.store.identity, entry)
        except CorruptionError:
            unread.append(entry)
    collection.maintenance.rebuild(tuple(unread))
    return len(unread)
