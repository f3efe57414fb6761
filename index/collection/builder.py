"""From the store to a segment: stored vectors -> weights -> posting lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from index.collection.field import Field
from index.collection.schema import LAST
from index.collection.segment import Segment
from index.collection.store import Store
from index.engines.inverted_index import InvertedIndex
from lsr.encoders.encoder import SparseEncoder
from lsr.sparse import SparseBatch


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Weighed vectors of documents, or of their passages, row by row: what a segment is made of.

    ``sequence`` int64 (n,), ascending, numbers the rows, and ``owners``, of the same shape, has the
    number of each row's document; None where no document is split. There is a ``sparse`` batch of
    n rows for each sparse field, ``vectors`` float32 (n, dimension) for each dense one;
    ``average_lengths`` weighed the counts.
    """

    sequence: NDArray[np.int64]
    sparse: Mapping[str, SparseBatch]
    vectors: Mapping[str, NDArray[np.float32]]
    average_lengths: Mapping[str, float]
    owners: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.sequence)

    def segment(self, reorder: bool = True) -> Segment:
        """The segment of these documents, in memory; ``reorder`` as of ``InvertedIndex.build``."""
        indexes = {name: InvertedIndex.build(batch, reorder) for name, batch in self.sparse.items()}
        return Segment(self.sequence, indexes, self.vectors, self.average_lengths, self.owners)

    def select(self, kept: NDArray[np.bool_]) -> Rows:
        """The rows where ``kept``, bool (n,), is true."""
        return Rows(
            self.sequence[kept],
            {name: batch.select(kept) for name, batch in self.sparse.items()},
            {name: vectors[kept] for name, vectors in self.vectors.items()},
            self.average_lengths,
            None if self.owners is None else self.owners[kept],
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Rows]) -> Rows:
        """Rows of adjacent ranges that were weighed alike, in their order; at least one part."""
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        owners = [part.sequence if part.owners is None else part.owners for part in parts]
        split = any(part.owners is not None for part in parts)
        return cls(
            np.concatenate([part.sequence for part in parts]),
            {
                # The last may be over more terms, where the vocabulary has grown.
                name: SparseBatch.concatenate(
                    [part.sparse[name] for part in parts], parts[-1].sparse[name].vocabulary_size
                )
                for name in first.sparse
            },
            {
                name: np.concatenate([part.vectors[name] for part in parts])
                for name in first.vectors
            },
            first.average_lengths,
            np.concatenate(owners) if split else None,
        )


class Builder:
    """Reads rows of a store and weighs them.

    Args:
        store: the documents' vectors.
        encoder: the encoder of a sparse field; asked only for fields that store term counts.
    """

    def __init__(self, store: Store, encoder: Callable[[Field], SparseEncoder]) -> None:
        self._store = store
        self._encoder = encoder

    def rows(
        self,
        after: int = 0,
        until: int = LAST,
        average_lengths: Mapping[str, float] | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> Rows:
        """The rows of the live documents of ``after < sequence <= until``.

        Args:
            after: sequence number before the first.
            until: the last sequence number, of a whole document.
            average_lengths: what to weigh counts by; None: the averages of these very rows.
            between: called after each field; may raise to abandon.
        """
        lengths = dict(average_lengths or {})
        sparse: dict[str, SparseBatch] = {}
        vectors: dict[str, NDArray[np.float32]] = {}
        with self._store.reading():
            sequence, owners = self._store.row_numbers(after, until)
            for field in self._store.fields:
                if field.kind == "dense":
                    vectors[field.name] = self._store.vectors.dense(field, after, until)
                else:
                    stored = self._store.vectors.sparse(field, after, until)
                    sparse[field.name] = self._weigh(field, stored, lengths)
                between()
        return Rows(sequence, sparse, vectors, lengths, owners)

    def index(
        self, name: str, sequence: NDArray[np.int64], average_lengths: Mapping[str, float]
    ) -> tuple[InvertedIndex, NDArray[np.bool_]]:
        """The index of a sparse field of some rows, and which of them are there, bool (n,).

        The others have no terms. Rows in between that ``sequence``, int64 (n,), lacks are left out.
        """
        rows = self.rows(int(sequence[0]) - 1, int(sequence[-1]), average_lengths)
        rows = rows.select(np.isin(rows.sequence, sequence))
        there = np.isin(sequence, rows.sequence)
        batch = rows.sparse[name]
        starts = np.zeros(len(sequence) + 1, dtype=np.int64)
        starts[1:][there] = np.diff(batch.indptr)
        spread = replace(batch, indptr=np.cumsum(starts))
        return InvertedIndex.build(spread), there

    def average_lengths(self) -> dict[str, float]:
        """Mean length of the rows of all live documents, for each field that stores term counts."""
        return {
            field.name: self._encoder(field)
            .statistics(self._store.vectors.sparse(field))
            .average_length
            for field in self._store.fields
            if field.weighed
        }

    def _weigh(self, field: Field, stored: SparseBatch, lengths: dict[str, float]) -> SparseBatch:
        if not field.weighed:
            return stored
        encoder = self._encoder(field)
        statistics = encoder.statistics(stored)
        average = lengths.setdefault(field.name, statistics.average_length)
        return encoder.impacts(stored, replace(statistics, average_length=average))
