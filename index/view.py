"""One consistent state of a collection, as searches see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from index.document_mask import DocumentMask
from index.effort import for_part
from index.field import Field
from index.filter_masks import Masks
from index.searcher import EXACT, Pruning, TopK, check_engine, merge
from index.segment import Segment
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics


@dataclass(frozen=True, eq=False)
class View:
    """Segments, oldest first, and which of their documents live (None: all of them).

    Rankings name documents by sequence number, which ascends with segment and ordinal.
    """

    revision: int
    generation: int
    segments: tuple[Segment, ...]
    alive: tuple[DocumentMask | None, ...]
    counts: Field | None

    def __len__(self) -> int:
        return sum(
            len(segment) if alive is None else alive.count
            for segment, alive in zip(self.segments, self.alive, strict=True)
        )

    def search_sparse(
        self,
        field: Field,
        queries: SparseBatch,
        k: int,
        engine: str,
        pruning: Pruning = EXACT,
        masks: Masks | None = None,
    ) -> TopK:
        """Top k of a sparse field over all segments, which share the time of ``pruning``.

        ``masks`` of ``FilterMasks.of`` take the place of ``alive``.
        """
        check_engine(engine)
        documents = sum(map(len, self.segments))
        return self._search(
            lambda segment, alive: segment.searcher(field.name, engine).search(
                queries, k, alive, for_part(pruning, len(segment), documents)
            ),
            k,
            masks,
        )

    def search_dense(
        self, field: Field, queries: NDArray[np.float32], k: int, masks: Masks | None = None
    ) -> TopK:
        """Exact top k of a dense field over all segments; ``masks`` as for ``search_sparse``."""
        return self._search(
            lambda segment, alive: segment.dense_searcher(field.name).search(queries, k, alive),
            k,
            masks,
        )

    @cached_property
    def statistics(self) -> CollectionStatistics | None:
        """Term statistics, where a field stores counts.

        As in Lucene, deleted documents count until the segment is rebuilt, and the average
        length is that of the oldest segment that has one, by which all impacts were weighed.
        """
        if self.counts is None:
            return None
        parts = [segment.statistics(self.counts.name) for segment in self.segments if len(segment)]
        frequency = np.zeros(self.counts.size, dtype=np.int64)
        for part in parts:
            frequency += part.document_frequency
        return CollectionStatistics(
            sum(part.documents for part in parts),
            frequency,
            next((part.average_length for part in parts if part.average_length > 0), 0.0),
        )

    def _search(
        self, search: Callable[[Segment, DocumentMask | None], TopK], k: int, masks: Masks | None
    ) -> TopK:
        parts = []
        for segment, alive in zip(self.segments, masks or self.alive, strict=True):
            found = search(segment, alive)
            if len(segment) == 0:
                parts.append(found)
                continue
            missing = found.documents < 0
            numbers = segment.sequence[np.where(missing, 0, found.documents)]
            parts.append(found._replace(documents=np.where(missing, -1, numbers)))
        return merge(parts, k)


def living(segment: Segment, deleted: Sequence[int] | NDArray[np.int64]) -> DocumentMask | None:
    """All but the deleted documents; None where none is deleted."""
    if len(deleted) == 0 or len(segment) == 0:
        return None
    alive = np.ones(len(segment), dtype=np.uint8)
    places = np.searchsorted(segment.sequence, deleted)
    places = places[places < len(segment)]
    alive[places[np.isin(segment.sequence[places], deleted)]] = 0
    return DocumentMask(alive)
