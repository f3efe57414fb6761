"""Vectors that other collections hold of the same texts by the same encoders: not encoded again."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.collection.collection import Collection
from index.collection.field import Field
from index.collection.store import Store
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

    def __init__(self, collections: Sequence[Collection]) -> None:
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
        known = self._known(fields, update)
        vectors: dict[str, Vectors] = {}
        tokens = 0
        for field in fields:
            one = DocumentEncoders(
                {name: each for name, each in encoders.sparse.items() if name == field.name},
                {name: each for name, each in encoders.dense.items() if name == field.name},
            )
            vectors[field.name], new = _field(field, one, update.texts, known[field.name])
            tokens += new
        return Encoded(vectors, tokens)

    def _known(self, fields: Sequence[Field], update: Wanted) -> dict[str, dict[int, Vectors]]:
        """For each field by the place of a text in the update, its vector: one row."""
        found: dict[str, dict[int, Vectors]] = {field.name: {} for field in fields}
        digests: dict[str, bytes] = {}
        for collection in self.collections:
            donors = {
                field.name: donor
                for field in fields
                if len(found[field.name]) < len(update.texts)
                and (donor := _same(field, collection)) is not None
            }
            if not donors:
                continue
            digests = digests or {each.id: each.digest() for each in update.changed}
            store = collection.store
            with store.reading():
                places = _places(store, digests, update)
                for name, donor in donors.items():
                    found[name] |= _rows(store, donor, places)
        return found


def _field(
    field: Field, encoder: DocumentEncoders, texts: Sequence[str], known: Mapping[int, Vectors]
) -> tuple[Vectors, int]:
    """The vectors of one field, and how many tokens were encoded for those not known."""
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


def _same(field: Field, collection: Collection) -> Field | None:
    """The field of a collection that the same encoder filled in the same way."""
    for each in collection.fields:
        alike = (each.kind, each.size, each.fingerprint, each.vocabulary, each.counts, each.open)
        if alike == (
            field.kind, field.size, field.fingerprint, field.vocabulary, field.counts, field.open,
        ):  # fmt: skip
            return each
    return None


def _places(store: Store, digests: Mapping[str, bytes], update: Wanted) -> dict[int, int]:
    """By the sequence number of a row that a donor has, the place of its text in the update."""
    wanted = _row_places(update.changed, update.split.passages)
    held = store.digests(list(digests))
    numbers = store.sequences([name for name in digests if held.get(name) == digests[name]])
    split = store.passages.of(list(numbers.values()))
    places: dict[int, int] = {}
    for name, number in numbers.items():
        start, passages = wanted[name]
        if split.get(number, []) == passages:
            places |= {number + n: start + n for n in range(max(len(passages), 1))}
    return places


def _rows(store: Store, field: Field, places: Mapping[int, int]) -> dict[int, Vectors]:
    """By place the rows of a field that are there: a batch of one row, or a row."""
    if field.kind == "dense":
        rows = store.vectors.sound_dense_rows(field, list(places))
        return {places[number]: row[None] for number, row in rows.items()}
    sparse = store.vectors.sound_rows(field, list(places))
    words = _words(store, field, sparse)
    return {places[number]: _one_row(field, row, words) for number, row in sparse.items()}


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


def _words(store: Store, field: Field, rows: Mapping[int, SparseVector]) -> dict[int, str]:
    terms = {term for row in rows.values() for term in row.indices.tolist() if term >= field.size}
    return store.dictionary.words(field, sorted(terms))


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
