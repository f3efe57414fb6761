"""The one indexing path: documents are checked, encoded, and written chunk by chunk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.collection import Collection, Vectors
from index.posting_list import half
from lsr.chunks import CHUNK as CHUNK
from lsr.chunks import Chunk, ItemT, distinct_chunks
from lsr.documents import Document
from lsr.readers import Item
from lsr.sparse import SparseBatch


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
    chunks = distinct_chunks(items, on_rejected, chunk_size)
    return write_chunks(
        collection, chunks, lambda chunk: upsert_documents(collection, chunk.documents), on_chunk
    )


def write_chunks(
    collection: Collection,
    chunks: Iterable[Chunk[ItemT]],
    upsert: Callable[[Chunk[ItemT]], list[Outcome]],
    on_chunk: Callable[[IndexReport], None],
) -> IndexReport:
    """Write chunks, each by ``upsert``, then bring them into segments.

    Raises:
        LockedError: another process is writing.
    """
    report = IndexReport()
    with collection.writing():
        for chunk in chunks:
            report.rejected += chunk.rejected
            report.count(upsert(chunk))
            on_chunk(report)
        if not collection.flushed():
            collection.flush()
    return report


def upsert_documents(
    collection: Collection,
    documents: list[Document],
    given: Mapping[str, SparseBatch] | None = None,
) -> list[Outcome]:
    """Encode and write those of the documents, of distinct ids, that are new or have changed.

    The vectors of the fields that are ``given``, a row a document, are written instead of encoded;
    a document whose row differs has changed.
    """
    given = given or {}
    stored = collection.digests([document.id for document in documents])
    differing = _differing(collection, documents, given)
    places = [
        place
        for place, document in enumerate(documents)
        if stored.get(document.id) != document.digest() or document.id in differing
    ]
    if places:
        changed = [documents[place] for place in places]
        rows = {name: batch.reorder(np.array(places)) for name, batch in given.items()}
        collection.upsert(changed, encode(collection, changed, rows))
    changed_places = set(places)
    return [
        Outcome(
            document.id,
            "unchanged"
            if place not in changed_places
            else "updated"
            if document.id in stored
            else "created",
        )
        for place, document in enumerate(documents)
    ]


def encode(
    collection: Collection,
    documents: list[Document],
    given: Mapping[str, SparseBatch] | None = None,
) -> Vectors:
    """A row of each field's vectors for each document; those ``given`` are not encoded."""
    vectors: dict[str, SparseBatch | NDArray[np.float32]] = dict(given or {})
    texts = [document.contents for document in documents]
    for item in collection.fields:
        if item.name not in vectors:
            vectors[item.name] = (
                collection.encoder(item).encode_documents(texts)
                if item.kind == "sparse"
                else collection.dense_encoder(item).encode(texts)
            )
    return vectors


def _differing(
    collection: Collection, documents: list[Document], vectors: Mapping[str, SparseBatch]
) -> set[str]:
    """Ids of those documents that the collection holds with other vectors than these."""
    numbers = collection.store.sequences([document.id for document in documents] if vectors else [])
    found = set()
    for name, batch in vectors.items():
        held = collection.store.sparse_rows(collection.field(name), list(numbers.values()))
        for document, row in zip(documents, batch, strict=True):
            stored = held.get(numbers.get(document.id, 0))
            if stored is not None and not (
                np.array_equal(stored.indices, row.indices)
                and np.array_equal(stored.values, half(row.values).astype(np.float32))
            ):
                found.add(document.id)
    return found
