"""Vectors that other collections hold of the same texts by the same encoders: not encoded again."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.collection.field import Field
from index.collection.writable import Writable
from index.splitting import Split
from lsr.corpus.documents import Document
from lsr.corpus.passages import Passage
from lsr.encoding.document_encoders import NOTHING, DocumentEncoders, Encoded
from lsr.sparse import SparseBatch, SparseVector

Vectors = SparseBatch | NDArray[np.float32]


class Wanted(Protocol):
    """What donors look at of an update: its documents that have changed, and how they are split."""

    @property
    def changed(self) -> list[Document]: ...  # noqa: D102

    @property
    def split(self) -> Split: ...  # noqa: D102

    @property
    def texts(self) -> list[str]: ...  # noqa: D102


UpdateT = TypeVar("UpdateT", bound=Wanted)


class Donors:
    """Collections that are searched for vectors before a text is encoded.

    A document is the same where its id and all its parts are, and was split into the same passages.
    """

    def __init__(self, collections: Sequence[Writable]) -> None:
        self.collections = collections

    def stream(
        self, fields: Sequence[Field], encoders: DocumentEncoders, updates: Iterable[UpdateT]
    ) -> Generator[tuple[UpdateT, Encoded], None, None]:
        """Each update with the vectors of its texts, those that no collection has encoded here.

        Args:
            fields: those of the collection that is written.
            encoders: of all these fields.
            updates: what is written.
        """
        for update in updates:
            yield update, self._encoded(fields, encoders, update) if update.texts else NOTHING

    def _encoded(
        self, fields: Sequence[Field], encoders: DocumentEncoders, update: Wanted
    ) -> Encoded:
        vectors: dict[str, Vectors] = {}
        tokens = 0
        for field in fields:
            one = DocumentEncoders(
                {name: each for name, each in encoders.sparse.items() if name == field.name},
                {name: each for name, each in encoders.dense.items() if name == field.name},
            )
            vectors[field.name], new = self._field(field, one, update)
            tokens += new
        return Encoded(vectors, tokens)

    def _field(
        self, field: Field, encoder: DocumentEncoders, update: Wanted
    ) -> tuple[Vectors, int]:
        """The vectors of one field, and how many tokens were encoded for them."""
        texts = update.texts
        known: dict[int, SparseBatch | NDArray[np.float32]] = {}
        for collection in self.collections:
            donor = _same(field, collection)
            if donor is not None and len(known) < len(texts):
                known |= _known(collection, donor, update)
        missing = [place for place in range(len(texts)) if place not in known]
        if len(missing) == len(texts):
            encoded = encoder.encode(texts)
            return encoded.vectors[field.name], encoded.tokens
        parts, places, tokens = list(known.values()), list(known), 0
        if missing:
            encoded = encoder.encode([texts[place] for place in missing])
            tokens = encoded.tokens
            parts.append(encoded.vectors[field.name])
            places += missing
        return _in_order(field, parts, np.argsort(places)), tokens


def _same(field: Field, collection: Writable) -> Field | None:
    """The field of a collection that the same encoder filled in the same way."""
    for each in collection.fields:
        alike = (each.kind, each.size, each.fingerprint, each.vocabulary, each.counts, each.open)
        if alike == (
            field.kind, field.size, field.fingerprint, field.vocabulary, field.counts, field.open,
        ):  # fmt: skip
            return each
    return None


def _known(collection: Writable, field: Field, update: Wanted) -> dict[int, Vectors]:
    """By the place of a text in the update, its vector: a batch of one row, or a row."""
    wanted = _row_places(update.changed, update.split.passages)
    found: dict[int, Vectors] = {}
    with collection.store.reading():
        store = collection.store
        held = store.digests([document.id for document in update.changed])
        same = [each for each in update.changed if held.get(each.id) == each.digest()]
        numbers = store.sequences([document.id for document in same])
        split = store.passages.of(list(numbers.values()))
        places: dict[int, int] = {}
        for document in same:
            start, passages = wanted[document.id]
            number = numbers[document.id]
            if split.get(number, []) == passages:
                places |= {number + n: start + n for n in range(max(len(passages), 1))}
        if field.kind == "dense":
            rows = store.vectors.sound_dense_rows(field, list(places))
            return {places[number]: row[None] for number, row in rows.items()}
        sparse = store.vectors.sound_rows(field, list(places))
        words = _words(collection, field, sparse)
        for number, row in sparse.items():
            found[places[number]] = _one_row(field, row, words)
    return found


def _row_places(
    documents: Sequence[Document], passages: Sequence[Sequence[Passage]]
) -> dict[str, tuple[int, list[Passage]]]:
    """By id the place of a document's first row of vectors, and its passages."""
    places, start = {}, 0
    for number, document in enumerate(documents):
        parts = list(passages[number]) if passages else []
        parts = parts if len(parts) > 1 else []
        places[document.id] = start, parts
        start += max(len(parts), 1)
    return places


def _words(collection: Writable, field: Field, rows: Mapping[int, SparseVector]) -> dict[int, str]:
    terms = {term for row in rows.values() for term in row.indices.tolist() if term >= field.size}
    return collection.store.dictionary.words(field, sorted(terms))


def _one_row(field: Field, row: SparseVector, words: Mapping[int, str]) -> SparseBatch:
    """A row whose words have numbers of its own, in its order."""
    closed = int(np.searchsorted(row.indices, field.size))
    own = tuple(words[term] for term in row.indices[closed:].tolist())
    indices = row.indices.copy()
    indices[closed:] = np.arange(field.size, field.size + len(own))
    return SparseBatch.from_rows([SparseVector(indices, row.values)], field.size + len(own), own)


def _in_order(field: Field, parts: Sequence[Vectors], order: NDArray[np.int64]) -> Vectors:
    """The rows of all parts together, in an order."""
    sparse = [part for part in parts if isinstance(part, SparseBatch)]
    if not sparse:
        return np.concatenate([part for part in parts if not isinstance(part, SparseBatch)])[order]
    rows = SparseBatch.concatenate(sparse, field.size)
    return SparseBatch.from_rows(
        [rows[place] for place in order.tolist()], rows.vocabulary_size, rows.words
    )
