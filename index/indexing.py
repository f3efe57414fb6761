"""The one indexing path: documents are checked, encoded, and written chunk by chunk."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from index.collection import Collection, Vectors
from lsr.documents import Document
from lsr.readers import Item

CHUNK = 256


class Outcome(NamedTuple):
    """What became of one item."""

    id: str
    status: Literal["created", "updated", "unchanged"]


@dataclass(slots=True)
class IndexReport:
    """Running totals of one indexing run."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    started: float = field(default_factory=time.perf_counter)

    @property
    def encoded(self) -> int:
        """Documents that went through the encoders."""
        return self.created + self.updated

    @property
    def read(self) -> int:
        """Items seen."""
        return self.encoded + self.unchanged + self.rejected

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.perf_counter() - self.started

    def count(self, outcomes: Iterable[Outcome]) -> None:
        """Add what became of a chunk."""
        for outcome in outcomes:
            setattr(self, outcome.status, getattr(self, outcome.status) + 1)


def index_documents(
    collection: Collection,
    items: Iterable[Item],
    on_chunk: Callable[[IndexReport], None] = lambda report: None,
    on_rejected: Callable[[str], None] = lambda sentence: None,
    chunk_size: int = CHUNK,
) -> IndexReport:
    """Bring a collection up to date with a stream of documents, then build its segment.

    Each chunk is one transaction, and chunks begin at fixed places of the stream: a run that was
    interrupted and is repeated skips what is stored, encodes the rest in the very same batches,
    and so ends with the same collection as an uninterrupted one. A document whose contents have
    not changed is never encoded again.

    Raises:
        LockedError: another process is writing.
    """
    report = IndexReport()
    with collection.writing(), _SeenIds() as seen:
        for chunk in _chunks(items, chunk_size):
            documents: list[Document] = []
            for item in chunk:
                if item.document is None:
                    on_rejected(f"{item.place}: {item.reason}")
                elif first := seen.add(item.document.id, item.place):
                    on_rejected(
                        f"{item.place}: the id {item.document.id!r} was given before, at "
                        f"{first}; the first is kept"
                    )
                else:
                    documents.append(item.document)
            report.rejected += len(chunk) - len(documents)
            report.count(upsert_documents(collection, documents))
            on_chunk(report)
        if not collection.flushed():
            collection.flush()
    return report


def upsert_documents(collection: Collection, documents: list[Document]) -> list[Outcome]:
    """Encode and write those of the documents, of distinct ids, that are new or have changed."""
    stored = collection.digests([document.id for document in documents])
    changed = [document for document in documents if stored.get(document.id) != document.digest()]
    if changed:
        collection.upsert(changed, encode(collection, changed))
    changed_ids = {document.id for document in changed}
    return [
        Outcome(
            document.id,
            "unchanged"
            if document.id not in changed_ids
            else "updated"
            if document.id in stored
            else "created",
        )
        for document in documents
    ]


def encode(collection: Collection, documents: list[Document]) -> Vectors:
    """A row of each field's vectors for each document."""
    texts = [document.contents for document in documents]
    return {
        field.name: collection.encoder(field).encode_documents(texts)
        if field.kind == "sparse"
        else collection.dense_encoder(field).encode(texts)
        for field in collection.fields
    }


class _SeenIds:
    """Ids of the run so far, in a temporary file once there are many."""

    def __enter__(self) -> _SeenIds:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, place) WITHOUT ROWID")
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def add(self, identifier: str, place: str) -> str | None:
        """Remember an id; returns the place where it was seen before, if it was."""
        row = self._connection.execute(
            "SELECT place FROM seen WHERE id = ?", (identifier,)
        ).fetchone()
        if row is None:
            self._connection.execute("INSERT INTO seen VALUES (?, ?)", (identifier, place))
            return None
        return str(row[0])


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
