"""The SQLite file that is the truth of a collection."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.collection import dictionary, metadata
from index.collection.field import Field, dump_fields, load_fields
from index.collection.storage_errors import write_error
from index.engines.posting_list import half
from index.filters.tree import Filter
from lsr.corpus.documents import Document
from lsr.errors import CorruptionError, NotFoundError
from lsr.sparse import SparseBatch, SparseVector
from lsr.vocabulary import Vocabulary
from lsr.whole_folder import flush_folder

APPLICATION_ID = 0x4C535231
VERSION = 3
# The largest sequence number that SQLite can give.
LAST = 2**63 - 1
SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE documents (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    metadata TEXT NOT NULL,
    digest BLOB NOT NULL
);
CREATE TABLE vectors (
    field TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    terms BLOB,
    weights BLOB NOT NULL,
    PRIMARY KEY (field, sequence)
) WITHOUT ROWID;
CREATE TABLE tombstones (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    sequence INTEGER NOT NULL UNIQUE
);
CREATE TABLE segments (
    generation INTEGER PRIMARY KEY,
    after INTEGER NOT NULL,
    last INTEGER NOT NULL,
    documents INTEGER NOT NULL,
    deleted INTEGER NOT NULL
);
"""
SETTINGS: dict[str, int | str] = {
    "revision": 0,
    "generation": 0,
    "average_lengths": "{}",
    "weighed": 0,
    "optimised": 0,
    "optimised_documents": 0,
}


class Store:
    """Documents, their vectors and settings; one connection a thread.

    Every upsert appends under a new sequence number and removes the old row, so a sequence
    number stands for one version of one document for ever.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise NotFoundError(
                f"there is no collection at {path.parent}; create one with: "
                f"lsr index CORPUS --into {path.parent}"
            )
        self.path = path
        self._local = threading.local()
        self._check_format()
        self.fields = load_fields(str(self.setting("fields")))
        # 32 hexadecimal digits that no other collection has; a copy or snapshot keeps them.
        self.identity = str(self.setting("identity"))

    @classmethod
    def create(
        cls, path: Path, fields: Sequence[Field], vocabulary: Vocabulary | None = None
    ) -> Store:
        """Write an empty store, with a vocabulary to keep where one is given.

        The file appears whole or not at all.
        """
        settings: dict[str, int | str] = {
            "identity": secrets.token_hex(16),
            "fields": dump_fields(fields),
            **SETTINGS,
        }
        if vocabulary is not None:
            settings["vocabulary"] = json.dumps(vocabulary.tokens)
        temporary = path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        connection = sqlite3.connect(temporary, isolation_level=None)
        connection.executescript(SCHEMA + metadata.SCHEMA + dictionary.SCHEMA)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.executemany("INSERT INTO settings VALUES (?, ?)", settings.items())
        connection.close()
        temporary.replace(path)
        flush_folder(path.parent)
        return cls(path)

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, isolation_level=None, timeout=60)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._local.connection = connection
        return connection

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One consistent state of the store for all reads inside; may be nested."""
        connection = self.connection
        if connection.in_transaction:
            yield
            return
        connection.execute("BEGIN")
        try:
            yield
        finally:
            connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All writes inside, or none; on disk when the block ends.

        Raises:
            StorageFullError: the disk is full.
            LsrError: the file can't be written.
        """
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("UPDATE settings SET value = value + 1 WHERE name = 'revision'")
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise write_error(
                    f"nothing was written to {self.path} ({error}); see that its disk has space "
                    "and works, and write again",
                    error,
                ) from error
            raise

    def close(self) -> None:
        """Close this thread's connection; those of other threads close when the threads end."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            del self._local.connection

    def revision(self) -> int:
        """A number that grows with every committed write."""
        return int(self.setting("revision"))

    def count(self) -> int:
        """Number of live documents."""
        return self.count_after(0)

    def nth_after(self, sequence: int, n: int) -> int:
        """Sequence number of the n-th live document after one; ``LAST`` where there are fewer."""
        found = self._value(
            "SELECT sequence FROM documents WHERE sequence > ? ORDER BY sequence LIMIT 1 OFFSET ?",
            sequence,
            n - 1,
        )
        return LAST if found is None else int(found)

    def count_after(self, sequence: int) -> int:
        """Number of live documents written after a sequence number."""
        return int(self._value("SELECT COUNT(*) FROM documents WHERE sequence > ?", sequence))

    def written(self) -> int:
        """The largest sequence number given so far, live or not; 0: none."""
        return self._counter("documents")

    def deletions(self) -> int:
        """Number of the newest tombstone ever written; 0: none."""
        return self._counter("tombstones")

    def append(self, documents: Sequence[Document]) -> list[int]:
        """Store documents under new sequence numbers, which are returned."""
        numbers = [
            int(
                self.connection.execute(
                    "INSERT INTO documents (id, title, text, metadata, digest) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (
                        document.id,
                        document.title,
                        document.text,
                        json.dumps(dict(document.metadata)),
                        document.digest(),
                    ),
                ).lastrowid
                or 0
            )
            for document in documents
        ]
        values = zip(numbers, (document.metadata for document in documents), strict=True)
        metadata.append_metadata(self.connection, values)
        return numbers

    def append_sparse(self, field: Field, sequence: Sequence[int], batch: SparseBatch) -> None:
        """Store a sparse vector for each sequence number, weights as float16, words by number."""
        if batch.words:
            batch = dictionary.with_numbers(self.connection, batch, field.size)
        self.connection.executemany(
            "INSERT INTO vectors VALUES (?, ?, ?, ?)",
            (
                (field.name, number, row.indices.tobytes(), half(row.values).tobytes())
                for number, row in zip(sequence, batch, strict=True)
            ),
        )

    def append_dense(
        self, field: str, sequence: Sequence[int], vectors: NDArray[np.float32]
    ) -> None:
        """Store a dense vector for each sequence number."""
        self.connection.executemany(
            "INSERT INTO vectors VALUES (?, ?, NULL, ?)",
            ((field, number, row.tobytes()) for number, row in zip(sequence, vectors, strict=True)),
        )

    def remove(self, ids: Iterable[str]) -> set[str]:
        """Delete documents by id; returns those that were there."""
        found = self.sequences(list(ids))
        numbers = [(number,) for number in found.values()]
        stored = self._where("sequence, metadata", "sequence", list(found.values()))
        values = [(row[0], json.loads(row[1])) for row in stored]
        metadata.remove_metadata(self.connection, values)
        execute = self.connection.executemany
        execute("INSERT INTO tombstones (sequence) VALUES (?)", numbers)
        execute(
            "UPDATE segments SET deleted = deleted + 1 WHERE after < ?1 AND last >= ?1", numbers
        )
        execute("DELETE FROM documents WHERE sequence = ?", numbers)
        execute(
            "DELETE FROM vectors WHERE field = ? AND sequence = ?",
            [(field.name, number) for field in self.fields for (number,) in numbers],
        )
        return set(found)

    def sequences(self, ids: Sequence[str]) -> dict[str, int]:
        """Sequence number of each id that is there."""
        return {row[0]: row[1] for row in self._where("id, sequence", "id", ids)}

    def digests(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Digest of each id that is there."""
        return {row[0]: row[1] for row in self._where("id, digest", "id", ids)}

    def all_digests(self) -> list[bytes]:
        """Every document's digest, ascending."""
        rows = self.connection.execute("SELECT digest FROM documents ORDER BY digest")
        return [row[0] for row in rows]

    def ids(self, sequence: Sequence[int]) -> dict[int, str]:
        """Id of each sequence number that is live."""
        return {row[0]: row[1] for row in self._where("sequence, id", "sequence", sequence)}

    def documents(self, sequence: Sequence[int]) -> dict[int, Document]:
        """Document of each sequence number that is live."""
        rows = self._where("sequence, id, title, text, metadata", "sequence", sequence)
        return {row[0]: Document(row[1], row[3], row[2], json.loads(row[4])) for row in rows}

    def all_ids(self) -> list[str]:
        """Every id, in the order of writing."""
        return [
            row[0] for row in self.connection.execute("SELECT id FROM documents ORDER BY sequence")
        ]

    def live(self, after: int = 0, until: int = LAST) -> NDArray[np.int64]:
        """Sequence numbers of the live documents after one, up to another, ascending."""
        rows = self.connection.execute(
            "SELECT sequence FROM documents WHERE sequence > ? AND sequence <= ? ORDER BY sequence",
            (after, until),
        )
        return np.array([row[0] for row in rows], dtype=np.int64)

    def matching(self, wanted: Filter, sequence: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of some sequence numbers a filter lets pass; bool, the same shape."""
        return metadata.matching(self.connection, wanted, sequence)

    def metadata_rows(self) -> sqlite3.Cursor:
        """All rows of the metadata table: key, kind, value, sequence number."""
        return self.connection.execute("SELECT key, kind, value, sequence FROM metadata")

    def sparse_vectors(self, field: Field, after: int = 0, until: int = LAST) -> SparseBatch:
        """Stored vectors of the documents that ``live`` names, in its order."""
        terms, weights, lengths = bytearray(), bytearray(), [0]
        for row in self._vectors(field.name, after, until):
            terms += row[0]
            weights += row[1]
            lengths.append(len(row[1]) // 2)
        return SparseBatch(
            np.cumsum(lengths, dtype=np.int64),
            np.frombuffer(terms, dtype=np.int32),
            np.frombuffer(weights, dtype=np.float16).astype(np.float32),
            self.terms(field),
        )

    def terms(self, field: Field) -> int:
        """How many terms a sparse field has by now: the ids from 0 on."""
        return field.size + (dictionary.word_count(self.connection) if field.open else 0)

    def numbers(self, field: Field, words: Iterable[str]) -> dict[str, int]:
        """The term ids of those of the words that an open field has."""
        found = dictionary.numbers_of(self.connection, words) if field.open else {}
        return {word: field.size + number for word, number in found.items()}

    def words(self, field: Field, terms: Sequence[int]) -> dict[int, str]:
        """The words that some terms of an open field stand for; terms below its size aren't."""
        places = [term - field.size for term in terms if term >= field.size]
        found = dictionary.words_of(self.connection, places) if places else {}
        return {field.size + number: word for number, word in found.items()}

    def all_words(self) -> list[str]:
        """Every word of the dictionary, by its number."""
        return dictionary.all_words(self.connection)

    def dense_vectors(self, field: Field, after: int = 0, until: int = LAST) -> NDArray[np.float32]:
        """Stored vectors of the documents that ``live`` names, in its order."""
        flat = bytearray()
        for row in self._vectors(field.name, after, until):
            flat += row[1]
        return np.frombuffer(flat, dtype=np.float32).reshape(-1, field.size)

    def sparse_rows(self, field: Field, sequence: Sequence[int]) -> dict[int, SparseVector]:
        """Stored vector of each sequence number that is live."""
        rows = self._where("sequence, terms, weights", "sequence", sequence, field=field.name)
        return {
            row[0]: SparseVector(
                np.frombuffer(row[1], dtype=np.int32),
                np.frombuffer(row[2], dtype=np.float16).astype(np.float32),
            )
            for row in rows
        }

    def unpaired(self, field: Field) -> int:
        """Number of documents without a vector of the field, and of vectors without a document."""
        count = self._value(
            "SELECT (SELECT COUNT(*) FROM documents AS d WHERE NOT EXISTS "
            "(SELECT 1 FROM vectors WHERE field = ?1 AND sequence = d.sequence)) "
            "+ (SELECT COUNT(*) FROM vectors AS v WHERE field = ?1 AND NOT EXISTS "
            "(SELECT 1 FROM documents WHERE sequence = v.sequence))",
            field.name,
        )
        return int(count)

    def _vectors(self, field: str, after: int, until: int) -> sqlite3.Cursor:
        return self.connection.execute(
            "SELECT terms, weights FROM vectors "
            "WHERE field = ? AND sequence > ? AND sequence <= ? ORDER BY sequence",
            (field, after, until),
        )

    def _where(
        self, columns: str, key: str, values: Sequence[object], field: str | None = None
    ) -> Iterator[tuple[Any, ...]]:
        table = "documents" if field is None else "vectors"
        condition = "" if field is None else "field = ? AND "
        for marks, part in metadata.in_lists(values):
            yield from self.connection.execute(
                f"SELECT {columns} FROM {table} WHERE {condition}{key} IN {marks}",  # noqa: S608
                ([] if field is None else [field]) + list(part),
            )

    def setting(self, name: str) -> Any:
        """The value of a setting."""
        return self._value("SELECT value FROM settings WHERE name = ?", name)

    def tokens(self) -> list[str]:
        """The tokens of the vocabulary that the store was created with."""
        tokens: list[str] = json.loads(self.setting("vocabulary"))
        return tokens

    def change(self, settings: Mapping[str, int | str]) -> None:
        """Change settings."""
        self.connection.executemany(
            "UPDATE settings SET value = ? WHERE name = ?",
            [(value, name) for name, value in settings.items()],
        )

    def _counter(self, table: str) -> int:
        return int(self._value("SELECT seq FROM sqlite_sequence WHERE name = ?", table) or 0)

    def _value(self, query: str, *parameters: object) -> Any:
        """What a query of one column finds first; None where it finds nothing."""
        row = self.connection.execute(query, parameters).fetchone()
        return None if row is None else row[0]

    def _check_format(self) -> None:
        try:
            kind = self._value("PRAGMA application_id")
            version = self._value("PRAGMA user_version")
        except sqlite3.OperationalError as error:
            raise write_error(
                f"the collection {self.path.parent} can't be opened ({error}); see that its disk "
                "has space and works, and that its files may be written",
                error,
            ) from error
        except sqlite3.DatabaseError as error:
            raise CorruptionError(f"{self.path} is not a collection: {error}") from error
        if kind != APPLICATION_ID:
            raise CorruptionError(f"{self.path} is an SQLite file but not a collection")
        if version != VERSION:
            raise CorruptionError(
                f"the collection {self.path.parent} has format version {version} and this release "
                f"reads {VERSION}; use the release that wrote it, or index again"
            )
