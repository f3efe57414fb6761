"""A collection in a directory, as it is copied to Qdrant: rows by number, statistics, settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from index.collection.collection import Collection
from index.collection.field import Field, dump_fields
from index.collection.search_defaults import SETTING, search_defaults_text
from index.collection.writable import stored_rows
from index.qdrant.layout import number_of
from index.qdrant.rows import NewRows
from index.qdrant.state import Counted, State, texts_of
from index.qdrant.statistics import Change, added_to, change_of_counts
from lsr.encoders.imported import IMPORTED
from lsr.sparse import SparseBatch

# Documents that are read at a time, and bytes of a commit, about, but for its last document.
DOCUMENTS_AT_ONCE, BYTES_AT_ONCE = 512, 8 << 20
# Bytes of a weight, a number of a dense vector, and a character on their way.
WEIGHT, NUMBER, CHARACTER = 20, 12, 2


@dataclass(frozen=True, slots=True)
class Statistics:
    """What is counted of each field over the documents that live, and the terms' frequencies."""

    counted: dict[str, Counted]
    totals: dict[str, NDArray[np.int64]]


class Source:
    """Reads of one state of a collection; while ``collection.store.reading()`` is held."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.store = collection.store
        self.fields: Sequence[Field] = self.store.fields
        rows, owners = self.store.row_numbers()
        first = rows if owners is None else owners
        # The numbers of its rows in Qdrant, int64 (n,), ascending.
        self.numbers = number_of(1) * first + (rows - first)
        self.documents = self.store.live()

    def described(self, state: State) -> State:
        """The state of its copy with what says what the collection is."""
        return replace(
            state,
            fields=dump_fields(list(self.fields)),
            passages=self.collection.passages,
            settings={**state.settings, SETTING: search_defaults_text(self.store)},
        )

    def tokens(self) -> list[str]:
        """Those of the vocabulary of imported vectors; none where there is no such field."""
        imported = any(field.encoder == IMPORTED for field in self.fields)
        return self.store.tokens() if imported else []

    def sized(self, state: State) -> State:
        """The state of its copy with what says how much it holds."""
        split, passages = self.store.passages.count()
        return replace(
            state,
            documents=len(self.documents),
            rows=len(self.numbers),
            split=split,
            split_rows=passages,
        )

    def averages(self) -> dict[str, float]:
        """The average length by which the counts of each field are weighed."""
        current = self.collection.segments.current().average_lengths
        return {
            field.name: float(current.get(field.name, 0.0))
            for field in self.fields
            if field.weighed
        }

    def statistics(self) -> Statistics:
        """What is counted of the documents that live; every row of counts is read for it."""
        counted: dict[str, Counted] = {}
        totals: dict[str, NDArray[np.int64]] = {}
        averages = self.averages()
        for field in self.fields:
            if field.weighed:
                change, frequencies = Change(), {field.name: np.zeros(0, dtype=np.int64)}
                for start in range(0, len(self.documents), DOCUMENTS_AT_ONCE):
                    part = self.documents[start : start + DOCUMENTS_AT_ONCE]
                    rows = self._rows(field, self._row_numbers(part.tolist()))
                    assert isinstance(rows, SparseBatch)
                    new = change_of_counts(self.collection.fields.encoder(field), rows)
                    frequencies = added_to(frequencies, {field.name: new})
                    change = Change(change.rows + new.rows, change.length + new.length)
                counted[field.name] = Counted(change.rows, change.length, averages[field.name])
                totals |= frequencies
            if field.counted:
                name = texts_of(field.name)
                counted[name] = Counted(len(self.numbers))
                totals[name] = self.store.frequencies.total(field.size)
        return Statistics(counted, totals)

    def digests(self) -> dict[int, str]:
        """The digest of each document, in hexadecimal digits, by its number in Qdrant."""
        rows = self.store.id_digests()
        return {number_of(number): digest.hex() for number, digest in rows.items()}

    def rows(self, documents: Sequence[int]) -> NewRows:
        """Documents with all that is stored of them."""
        found = self.store.documents(documents)
        passages = self.store.passages.of(documents)
        numbers = self._row_numbers(documents)
        return NewRows(
            documents,
            [found[number] for number in documents],
            [passages.get(number, []) for number in documents],
            {field.name: self._rows(field, numbers) for field in self.fields},
        )

    def commits(self, documents: Sequence[int]) -> Iterator[NewRows]:
        """Documents in parts that one commit takes."""
        for start in range(0, len(documents), DOCUMENTS_AT_ONCE):
            rows = self.rows(documents[start : start + DOCUMENTS_AT_ONCE])
            yield from _in_sizes(rows)

    def _row_numbers(self, documents: Sequence[int]) -> list[int]:
        sizes = self.store.passages.sizes(documents)
        return [
            row for number in documents for row in range(number, number + max(sizes[number], 1))
        ]

    def _rows(self, field: Field, numbers: Sequence[int]) -> SparseBatch | NDArray[np.float32]:
        return stored_rows(self.store, field, numbers)


def _in_sizes(rows: NewRows) -> Iterator[NewRows]:
    """The same documents in parts of about ``BYTES_AT_ONCE``."""
    start = row = size = 0
    first_row = 0
    parts = rows.parts
    for place, document in enumerate(rows.documents):
        count = max(len(parts[place]), 1)
        size += CHARACTER * (len(document.contents) + len(str(document.metadata)))
        size += sum(_size(each, row, row + count) for each in rows.vectors.values())
        row += count
        if size >= BYTES_AT_ONCE or place + 1 == len(rows.documents):
            yield NewRows(
                rows.numbers[start : place + 1],
                rows.documents[start : place + 1],
                rows.passages[start : place + 1],
                {name: _cut(each, first_row, row) for name, each in rows.vectors.items()},
            )
            start, first_row, size = place + 1, row, 0


def _size(rows: SparseBatch | NDArray[np.float32], start: int, end: int) -> int:
    if isinstance(rows, SparseBatch):
        return WEIGHT * int(rows.indptr[end] - rows.indptr[start])
    return NUMBER * int(rows.shape[1]) * (end - start)


def _cut(
    rows: SparseBatch | NDArray[np.float32], start: int, end: int
) -> SparseBatch | NDArray[np.float32]:
    if not isinstance(rows, SparseBatch):
        return rows[start:end]
    kept = np.zeros(len(rows), dtype=np.bool_)
    kept[start:end] = True
    return rows.select(kept)
