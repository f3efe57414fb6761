"""Rows on their way into Qdrant, and what is read of those that are to go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from index.collection.field import Field
from index.engines.posting_list import half
from index.qdrant.conditions import Match
from index.qdrant.layout import (
    ID,
    PLACE,
    document_number,
    document_of,
    number_of,
    passages_of,
    row_payloads,
    split_number,
    unpack_counts,
)
from index.qdrant.port import Point, QdrantPort, Vector
from index.qdrant.state import State, texts_of
from index.qdrant.statistics import Change, change_of_counts, change_of_texts
from lsr.corpus.documents import Document
from lsr.corpus.passages import Passage, contents
from lsr.encoders.encoder import SparseEncoder
from lsr.errors import CorruptionError
from lsr.sparse import SparseBatch, SparseVector

Encoders = Callable[[Field], SparseEncoder]
# Ids that one condition names.
IDS_AT_ONCE = 256


@dataclass(frozen=True, slots=True, eq=False)
class NewRows:
    """Documents with their numbers, and a row of each field's stored vectors for each row of them.

    ``passages`` has those of each document, fewer than two where it is not split; empty: none is.
    Words of open fields have their terms.
    """

    numbers: Sequence[int]
    documents: Sequence[Document]
    passages: Sequence[Sequence[Passage]]
    vectors: Mapping[str, SparseBatch | NDArray[np.float32]]

    @property
    def parts(self) -> list[Sequence[Passage]]:
        """The passages of each document, none where it is not split."""
        given = self.passages or [()] * len(self.documents)
        return [each if len(each) > 1 else () for each in given]

    def changes(self, fields: Sequence[Field], encoders: Encoders) -> dict[str, Change]:
        """What these rows add to the counts of each field."""
        texts = contents(self.documents, self.parts)
        found = {}
        for field in fields:
            rows = self.vectors[field.name]
            if field.weighed and isinstance(rows, SparseBatch):
                found[field.name] = change_of_counts(encoders(field), rows)
            if field.counted:
                vocabulary = encoders(field).vocabulary
                found[texts_of(field.name)] = change_of_texts(vocabulary, texts)
        return found

    def points(
        self, fields: Sequence[Field], encoders: Encoders, averages: Mapping[str, float]
    ) -> list[Point]:
        """The points of all rows, their counts weighed by these average lengths."""
        scored = {
            field.name: _scored(field, self.vectors[field.name], encoders, averages)
            for field in fields
        }
        weighed = [field.name for field in fields if field.weighed]
        points, row = [], 0
        for n, document, parts in zip(self.numbers, self.documents, self.parts, strict=True):
            size = max(len(parts), 1)
            counts = [
                {name: _sparse(self.vectors[name], place) for name in weighed}
                for place in range(row, row + size)
            ]
            payloads = row_payloads(n, document, parts, counts if weighed else ())
            for place, payload in enumerate(payloads):
                vectors = {name: rows[row + place] for name, rows in scored.items()}
                there = {name: each for name, each in vectors.items() if len(each)}
                points.append(Point(number_of(n) + place, payload, there))
            row += size
        return points


def _scored(
    field: Field,
    rows: SparseBatch | NDArray[np.float32],
    encoders: Encoders,
    averages: Mapping[str, float],
) -> Sequence[Vector]:
    """What engines score of rows as they are stored."""
    if not isinstance(rows, SparseBatch):
        return list(rows)
    if field.weighed:
        return weighed_rows(encoders(field), rows, averages[field.name])
    return _halved(rows)


def weighed_rows(encoder: SparseEncoder, rows: SparseBatch, average: float) -> list[SparseVector]:
    """Rows of stored counts, weighed by an average length."""
    statistics = replace(encoder.statistics(rows), average_length=average)
    return _halved(encoder.impacts(rows, statistics))


def _halved(rows: SparseBatch) -> list[SparseVector]:
    """The rows as float16 holds them, without what that makes 0."""
    values = half(rows.values).astype(np.float32)
    return list(replace(rows, values=values).keep(values > 0))


def _sparse(rows: SparseBatch | NDArray[np.float32], place: int) -> SparseVector:
    assert isinstance(rows, SparseBatch)
    return rows[place]


@dataclass(frozen=True, slots=True, eq=False)
class OldDocument:
    """What is stored of a document: the number of its first row, its id, what is counted of it.

    ``texts`` are those of its rows, where some field's terms are counted in them, and ``counts``
    by field the stored counts of its rows.
    """

    number: int
    id: str
    rows: int
    texts: Sequence[str]
    counts: Mapping[str, Sequence[SparseVector]]

    @property
    def numbers(self) -> range:
        """Of its rows."""
        return range(self.number, self.number + self.rows)


def changes_of(
    documents: Sequence[OldDocument], fields: Sequence[Field], encoders: Encoders
) -> dict[str, Change]:
    """What stored documents have added to the counts of each field."""
    found = {}
    for field in fields:
        if field.weighed:
            rows = [row for each in documents for row in each.counts[field.name]]
            size = max([field.size, *(int(row.indices[-1]) + 1 for row in rows if len(row))])
            batch = SparseBatch.from_rows(rows, size)
            found[field.name] = change_of_counts(encoders(field), batch)
        if field.counted:
            texts = [text for each in documents for text in each.texts]
            found[texts_of(field.name)] = change_of_texts(encoders(field).vocabulary, texts)
    return found


def old_documents(port: QdrantPort, state: State, ids: Sequence[str]) -> dict[str, OldDocument]:
    """What is stored of those of the ids that count, by id.

    Raises:
        CorruptionError: it can't be read.
    """
    found: dict[str, OldDocument] = {}
    dying = frozenset(state.dying)
    for start in range(0, len(ids), IDS_AT_ONCE):
        condition = Match(ID, tuple(ids[start : start + IDS_AT_ONCE]))
        firsts = [
            point
            for point in port.scroll(condition, payload=_parts(state))
            if point.number < number_of(state.written + 1) and point.number not in dying
        ]
        found |= {each.id: each for each in _old_documents(port, state, firsts)}
    return found


def old_documents_at(port: QdrantPort, state: State, numbers: Sequence[int]) -> list[OldDocument]:
    """What is stored of the documents with first rows of these numbers; as ``old_documents``."""
    firsts = port.retrieve(numbers, payload=_parts(state))
    return _old_documents(port, state, list(firsts.values()))


def _parts(state: State) -> list[str]:
    parts = [ID, PLACE, "passages", "counts"]
    if any(field.counted for field in state.field_list):
        parts += ["title", "text", "metadata", "digest"]
    return parts


def _old_documents(port: QdrantPort, state: State, firsts: Sequence[Point]) -> list[OldDocument]:
    fields = state.field_list
    passages = {first.number: passages_of(first.payload) for first in firsts}
    weighed = [field.name for field in fields if field.weighed]
    others = [
        number + place for number, parts in passages.items() for place in range(1, len(parts))
    ]
    rows = {first.number: first for first in firsts}
    if weighed:
        rows |= port.retrieve(others, payload=["counts"])
    counted = any(field.counted for field in fields)
    return [
        OldDocument(
            first.number,
            _checked_id(first),
            max(len(passages[first.number]), 1),
            _texts(first, passages[first.number]) if counted else (),
            {
                name: [
                    _counts(rows, number, name)
                    for number in _rows_of(first.number, passages[first.number])
                ]
                for name in weighed
            },
        )
        for first in firsts
    ]


def _rows_of(number: int, passages: Sequence[Passage]) -> range:
    return range(number, number + max(len(passages), 1))


def _checked_id(first: Point) -> str:
    identifier = first.payload.get(ID)
    if not isinstance(identifier, str) or split_number(first.number)[1]:
        raise damage(first.number)
    return identifier


def _texts(first: Point, passages: Sequence[Passage]) -> list[str]:
    document = document_of(first.payload)
    if document is None:
        raise damage(first.number)
    return contents([document], [passages])


def _counts(rows: Mapping[int, Point], number: int, name: str) -> SparseVector:
    held = rows[number].payload.get("counts") if number in rows else None
    if not isinstance(held, dict):
        raise damage(number)
    return unpack_counts(held.get(name))


def damage(number: int) -> CorruptionError:
    """What to raise for a row that can't be read."""
    return CorruptionError(
        f"a row of the document number {document_number(number)} in Qdrant is damaged; push or "
        "index into another name, or recover a snapshot of Qdrant's"
    )
