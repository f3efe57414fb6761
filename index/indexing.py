"""The one indexing path: documents are checked, encoded, and written chunk by chunk."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.collection.writable import Vectors, Writable
from index.donors import Donors
from index.engines.posting_list import half
from index.splitting import UNSPLIT, Split, owners, split_documents
from lsr.corpus.chunks import CHUNK as CHUNK
from lsr.corpus.chunks import Chunk, ItemT, distinct_chunks
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.corpus.passages import contents
from lsr.corpus.readers.corpus import Corpus
from lsr.corpus.readers.passed_over import PassedOver
from lsr.encoding.document_encoders import DocumentEncoders
from lsr.encoding.health import NOT_FINITE, Health, HealthWatch, finite_rows
from lsr.encoding.progress import SILENT, Progress
from lsr.sparse import SparseBatch

# Seconds that a run waits for other writers before a chunk: it is long, and they are not.
LONGEST_WAIT = 60.0


# A term that none is.
NEVER = 2**31 - 1


class Outcome(NamedTuple):
    """What became of one item."""

    id: str
    status: Literal["created", "updated", "unchanged", "rejected"]
    reason: str = ""


@dataclass(slots=True)
class IndexReport:
    """Running totals of one indexing run.

    ``taken`` items were read from the source, and of these ``read`` are done with. ``tokens`` is
    how many the encoders went through. ``health`` is of each sparse field that an encoder model
    fills, once a thousand documents have been encoded or the run has ended. ``deleted`` and
    ``not_deleted`` are of ``sync_documents``: how many documents were deleted, or why none was.
    ``split`` of the encoded documents were split into ``passages``, and of ``cut`` an encoder did
    not read the end.
    ``passed_over`` is what a folder held besides, where the source was one.
    """

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    deleted: int = 0
    not_deleted: str = ""
    split: int = 0
    passages: int = 0
    cut: int = 0
    passed_over: PassedOver = dataclasses.field(default_factory=PassedOver)
    taken: int = 0
    tokens: int = 0
    health: dict[str, Health] = dataclasses.field(default_factory=dict)
    started: float = dataclasses.field(default_factory=time.perf_counter)

    @property
    def encoded(self) -> int:
        """Documents that went through the encoders and were written."""
        return self.created + self.updated

    @property
    def read(self) -> int:
        """Items seen, and done with."""
        return self.encoded + self.unchanged + self.rejected

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.perf_counter() - self.started

    def count(self, outcomes: Iterable[Outcome]) -> None:
        """Add what became of a chunk."""
        for outcome in outcomes:
            setattr(self, outcome.status, getattr(self, outcome.status) + 1)

    def count_split(self, split: Split) -> None:
        """Add how the documents of a chunk were split."""
        several = [len(parts) for parts in split.passages if len(parts) > 1]
        self.split += len(several)
        self.passages += sum(several)
        self.cut += split.cut


@dataclass(slots=True)
class Update:
    """Documents of distinct ids on their way into a collection.

    ``changed`` are those that the collection does not hold as they are, to encode and write, and
    ``given`` their rows of the fields that are not encoded; ``split`` says which of them are
    written passage by passage. ``places`` says where each document
    stands in its source, ``rejected`` how many items beside them were not fit to be documents.
    """

    documents: list[Document]
    changed: list[Document]
    given: Mapping[str, SparseBatch]
    split: Split = dataclasses.field(default_factory=lambda: UNSPLIT)
    places: Mapping[str, str] = dataclasses.field(default_factory=dict)
    rejected: int = 0

    @classmethod
    def of(
        cls,
        collection: Writable,
        documents: list[Document],
        given: Mapping[str, SparseBatch] | None = None,
        encoders: DocumentEncoders | None = None,
    ) -> Update:
        """What these documents mean for a collection as it is now.

        A document whose row of a ``given`` field differs from the stored one has changed. Where
        no field is given, ``encoders`` are those of all, and long documents are split for them.
        """
        given = given or {}
        kept = _changed(collection, documents, given)
        changed = _select(documents, kept)
        rows = {name: batch.select(kept) for name, batch in given.items()}
        split = split_documents(collection, changed, encoders) if encoders else UNSPLIT
        return cls(documents, changed, rows, split)

    @property
    def texts(self) -> list[str]:
        """What is encoded: a text for each row of vectors."""
        return contents(self.changed, self.split.passages)


def index_documents(
    collection: Writable,
    items: Iterable[Item],
    progress: Progress = SILENT,
    chunk_size: int = CHUNK,
    processes: int = 1,
    donors: Donors | None = None,
) -> IndexReport:
    """Bring a collection up to date with a stream of documents, then build its segment.

    Each chunk is one transaction, and chunks begin at fixed places of the stream: a run that was
    interrupted and is repeated skips what is stored, encodes the rest in the very same batches,
    and so ends with the same collection as an uninterrupted one. A document whose contents have
    not changed is never encoded again. A document that an encoder gives a vector with numbers
    that are not finite is rejected.

    Others may write meanwhile, between one chunk and the next. Of a document that both write, the
    later write stays; where the collection held a document as it is here when its chunk was read,
    nothing is written, and what others make of it afterwards stays.

    Args:
        collection: where to.
        items: the documents, and the items of their source that are none.
        progress: is told of the IndexReport after each chunk, of what is rejected, and of the
            health of a field as soon as ``IndexReport.health`` has it.
        chunk_size: documents of a chunk.
        processes: how many encode, see ``DocumentEncoders.stream``; the collection is the same.
        donors: what they hold is not encoded, and the rest is in this process alone.

    Raises:
        LockedError: another writer did not let go for a minute; the chunks before stay written.
        UsageError: ``processes`` is not 1 to 512.
        LsrError: an encoding process failed or died; the chunks before stay written.
    """
    encoders = document_encoders(collection)
    report = write_chunks(
        collection,
        distinct_chunks(items, progress.rejected, chunk_size),
        lambda chunk: Update.of(collection, chunk.documents, encoders=encoders),
        encoders,
        progress,
        processes,
        donors,
    )
    if isinstance(items, Corpus):
        report.passed_over = items.passed_over
    return report


def write_chunks(
    collection: Writable,
    chunks: Iterable[Chunk[ItemT]],
    update_of: Callable[[Chunk[ItemT]], Update],
    encoders: DocumentEncoders,
    progress: Progress,
    processes: int = 1,
    donors: Donors | None = None,
) -> IndexReport:
    """Encode and write chunks, then bring them into segments; as ``index_documents``.

    Args:
        collection: where to.
        chunks: items of distinct ids.
        update_of: what a chunk means for the collection.
        encoders: of the fields that the updates are not given.
        progress: as for ``index_documents``; of what is rejected, the documents rejected here.
        processes: how many encode.
        donors: as for ``index_documents``.
    """
    report = IndexReport()
    watches = _health_watches(collection, report.health, progress)

    def updates() -> Iterator[tuple[Update, list[str]]]:
        for chunk in chunks:
            report.taken += len(chunk.items) + chunk.rejected
            update = update_of(chunk)
            update.rejected = chunk.rejected
            update.places = {
                document.id: item.place
                for document, item in zip(chunk.documents, chunk.items, strict=True)
            }
            yield update, update.texts

    encoded_updates = (
        encoders.stream(updates(), processes)
        if donors is None
        else donors.stream(list(collection.fields), encoders, (each for each, _ in updates()))
    )
    with closing(encoded_updates) as stream:
        for update, encoded in stream:
            with collection.writing(wait=LONGEST_WAIT):
                outcomes = write_update(collection, update, encoded.vectors)
            for outcome in outcomes:
                if outcome.reason:
                    progress.rejected(f"{update.places[outcome.id]}: {outcome.reason}")
            report.count(outcomes)
            report.count_split(update.split)
            report.rejected += update.rejected
            report.tokens += encoded.tokens
            for name, watch in watches.items():
                if isinstance(rows := encoded.vectors.get(name), SparseBatch):
                    watch.add(update.texts, rows)
            progress.chunk(report)
    for watch in watches.values():
        watch.finish()
    if not collection.maintenance.flushed():
        collection.maintenance.flush()
    return report


def upsert_documents(collection: Writable, documents: list[Document]) -> list[Outcome]:
    """Encode and write those of the documents, of distinct ids, that are new or have changed."""
    encoders = document_encoders(collection)
    update = Update.of(collection, documents, encoders=encoders)
    vectors = encoders.encode(update.texts).vectors if update.changed else {}
    return write_update(collection, update, vectors)


def write_update(collection: Writable, update: Update, vectors: Vectors) -> list[Outcome]:
    """Write the documents that have changed, with their vectors, in one transaction.

    ``vectors`` are those of the fields that the update is not given. Documents with a vector that
    is not finite are rejected; what is stored of them stays. Those that another writer has stored
    as they are, since the update was made, are left so.

    Raises:
        LockedError: another writer has not let go in time.
    """
    reasons: dict[str, str] = {}
    kept = np.ones(len(update.changed), dtype=np.bool_)
    passages = update.split.passages
    owner = owners(passages, len(update.changed))
    rows_of = {**vectors, **update.given}
    for name, rows in rows_of.items():
        wrong = np.unique(owner[~finite_rows(rows)])
        kept[wrong] = False
        for place in wrong:
            reasons[update.changed[place].id] = NOT_FINITE.format(f"field {name!r}")
    written: dict[str, bool] = {}
    if kept.any():
        with collection.writing():
            kept &= _changed(collection, update.changed, update.given)
            changed = _select(update.changed, kept)
            if not kept.all():
                rows_of = {name: _rows(rows, kept[owner]) for name, rows in rows_of.items()}
                passages = [parts for parts, keep in zip(passages, kept, strict=False) if keep]
            if changed:
                new = collection.upsert(changed, rows_of, passages)
                written = dict(zip([document.id for document in changed], new, strict=True))
    return [_outcome(document.id, written, reasons) for document in update.documents]


def _outcome(identifier: str, written: Mapping[str, bool], reasons: Mapping[str, str]) -> Outcome:
    """``written`` says of each document that was written whether it is new."""
    if identifier in reasons:
        return Outcome(identifier, "rejected", reasons[identifier])
    if identifier not in written:
        return Outcome(identifier, "unchanged")
    return Outcome(identifier, "created" if written[identifier] else "updated")


def document_encoders(collection: Writable, given: Sequence[str] = ()) -> DocumentEncoders:
    """The encoders of all fields but those given.

    Raises:
        EncoderMismatchError: one has changed.
    """
    fields = collection.fields
    wanted = [field for field in fields if field.name not in given]
    return DocumentEncoders(
        {field.name: fields.encoder(field) for field in wanted if field.kind == "sparse"},
        {field.name: fields.dense_encoder(field) for field in wanted if field.kind == "dense"},
        fields.trusted,
    )


def _changed(
    collection: Writable, documents: list[Document], given: Mapping[str, SparseBatch]
) -> NDArray[np.bool_]:
    """Which documents the collection does not hold as they are, with the rows of given fields."""
    stored = collection.store.digests([document.id for document in documents])
    differing = _differing(collection, documents, given)
    return np.array(
        [
            stored.get(document.id) != document.digest() or document.id in differing
            for document in documents
        ],
        dtype=np.bool_,
    )


def _select(documents: list[Document], kept: NDArray[np.bool_]) -> list[Document]:
    return [document for document, keep in zip(documents, kept, strict=True) if keep]


def _rows(
    rows: SparseBatch | NDArray[np.float32], kept: NDArray[np.bool_]
) -> SparseBatch | NDArray[np.float32]:
    return rows.select(kept) if isinstance(rows, SparseBatch) else rows[kept]


def _health_watches(
    collection: Writable, found: dict[str, Health], progress: Progress
) -> dict[str, HealthWatch]:
    """One for each field that a model fills; counts of terms come from none."""

    def tell(name: str, health: Health) -> None:
        found[name] = health
        progress.health(name, health)

    return {
        field.name: HealthWatch(
            field.size,
            partial(tell, field.name),
            collection.fields.encoder(field).vocabulary,
            field.open,
        )
        for field in collection.fields
        if field.kind == "sparse" and not field.counts
    }


def _differing(
    collection: Writable, documents: list[Document], vectors: Mapping[str, SparseBatch]
) -> set[str]:
    """Ids of those documents that the collection holds with other vectors than these."""
    numbers = collection.store.sequences([document.id for document in documents] if vectors else [])
    found = set()
    for name, batch in vectors.items():
        field = collection.fields.named(name)
        held = collection.store.vectors.sound_rows(field, list(numbers.values()))
        if batch.words:
            known = collection.store.dictionary.numbers(field, batch.words)
            # A new word has a number that no stored vector has.
            new = range(NEVER - len(batch.words), NEVER)
            batch = batch.numbered(
                [known.get(word, n) for word, n in zip(batch.words, new, strict=True)], NEVER
            )
        for document, row in zip(documents, batch, strict=True):
            stored = held.get(numbers.get(document.id, 0))
            if stored is not None and not (
                np.array_equal(stored.indices, row.indices)
                and np.array_equal(stored.values, half(row.values).astype(np.float32))
            ):
                found.add(document.id)
    return found
