"""Rows of documents and vectors: written with their checksums, and read with what these say.

Strings are read as bytes, for a damaged one need not be valid UTF-8. What is packed is unpacked
after its checksum was compared, and not believed even then: anyone can make one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from index.collection.packed_text import pack_text, unpack_text
from index.collection.schema import id_checksum, text_checksum, vector_checksum
from index.collection.vector_rows import Row
from lsr.corpus.documents import Document

ID_COLUMNS = "sequence, CAST(id AS BLOB), digest, id_checksum"
DOCUMENT_COLUMNS = (
    f"{ID_COLUMNS}, CAST(title AS BLOB), CAST(text AS BLOB), CAST(metadata AS BLOB), checksum"
)


class IdRow(NamedTuple):
    """What is read of a document without its text."""

    sequence: int
    id: bytes
    digest: bytes
    id_checksum: bytes

    def is_sound(self) -> bool:
        """Whether it is as it was written."""
        try:
            return self.id_checksum == id_checksum(self.sequence, self.id, self.digest)
        except TypeError:
            return False

    @property
    def name(self) -> str:
        """How a message calls the document."""
        if not self.is_sound():
            return f"number {self.sequence}"
        return repr(self.id.decode())


class DocumentRow(NamedTuple):
    """A whole row of the table of documents; ``text`` as it is stored."""

    head: IdRow
    title: bytes
    text: bytes
    metadata: bytes
    checksum: bytes

    def is_sound(self) -> bool:
        """Whether all of it is as it was written."""
        return self.head.is_sound() and self.has_sound_text()

    def has_sound_text(self) -> bool:
        """Whether title, text and metadata are as they were written."""
        try:
            return self.checksum == text_checksum(
                self.head.sequence, self.title, self.text, self.metadata
            )
        except TypeError:
            return False

    def document(self) -> Document | None:
        """The document; None where the row is damaged, or was never well formed."""
        if not self.is_sound():
            return None
        try:
            return Document(
                self.head.id.decode(),
                unpack_text(self.text).decode(),
                self.title.decode(),
                json.loads(self.metadata),
            )
        except ValueError:
            return None


class VectorRow(NamedTuple):
    """A row of the table of vectors, as it is stored; ``terms`` is None in a dense field."""

    sequence: int
    terms: bytes | None
    weights: bytes
    checksum: bytes

    def is_sound(self, field: str) -> bool:
        """Whether it is as it was written, for that field."""
        try:
            return self.checksum == vector_checksum(field, self.sequence, self.terms, self.weights)
        except TypeError:
            return False


def append_documents(
    connection: sqlite3.Connection, rows: Iterable[tuple[int, str, str, str, str, bytes]]
) -> None:
    """Write rows of sequence number, id, title, text, metadata and digest."""
    connection.executemany(
        "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (_packed_document(*row) for row in rows),
    )


def _packed_document(
    sequence: int, identifier: str, title: str, text: str, metadata: str, digest: bytes
) -> tuple[int, str, str, bytes, str, bytes, bytes, bytes]:
    packed = pack_text(text.encode())
    return (
        sequence,
        identifier,
        title,
        packed,
        metadata,
        digest,
        id_checksum(sequence, identifier.encode(), digest),
        text_checksum(sequence, title.encode(), packed, metadata.encode()),
    )


def append_vectors(connection: sqlite3.Connection, field: str, rows: Iterable[Row]) -> None:
    """Write rows, in the place of damaged ones."""
    connection.executemany(
        "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?)",
        ((field, *row, vector_checksum(field, *row)) for row in rows),
    )


def id_rows(
    connection: sqlite3.Connection, condition: str, parameters: Sequence[object]
) -> Iterator[IdRow]:
    """The rows of documents that satisfy a condition, without their texts."""
    rows = connection.execute(
        f"SELECT {ID_COLUMNS} FROM documents WHERE {condition}",  # noqa: S608
        parameters,
    )
    for row in rows:
        yield IdRow(*row)


def name_of_row(connection: sqlite3.Connection, number: int) -> str:
    """How a message calls the document that a row of vectors is of."""
    condition = "sequence <= ? ORDER BY sequence DESC LIMIT 1"
    return next((row.name for row in id_rows(connection, condition, (number,))), f"number {number}")


def document_rows(
    connection: sqlite3.Connection, condition: str, parameters: Sequence[object]
) -> Iterator[DocumentRow]:
    """The rows of documents that satisfy a condition."""
    rows: Iterable[tuple[Any, ...]] = connection.execute(
        f"SELECT {DOCUMENT_COLUMNS} FROM documents WHERE {condition}",  # noqa: S608
        parameters,
    )
    for row in rows:
        yield DocumentRow(IdRow(*row[:4]), *row[4:])


def vector_rows(
    connection: sqlite3.Connection, field: str, condition: str, parameters: Sequence[object]
) -> Iterator[VectorRow]:
    """The rows of a field that satisfy a condition."""
    rows = connection.execute(
        "SELECT sequence, terms, weights, checksum FROM vectors "  # noqa: S608
        f"WHERE field = ? AND {condition}",
        (field, *parameters),
    )
    for row in rows:
        yield VectorRow(*row)
