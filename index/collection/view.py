"""One consistent state of a collection, as searches see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from index.collection.best_passages import best_passages
from index.collection.field import Field
from index.collection.field_encoders import FieldEncoders
from index.collection.filter_masks import FilterMasks, size_of
from index.collection.recent import Recent
from index.collection.segment import Segment
from index.collection.store import Store
from index.collection.tail import Tail
from index.engines.document_mask import DocumentMask, Masks
from index.engines.effort import for_part
from index.engines.registry import check_engine
from index.engines.searcher import EXACT, Pruning, TopK, merge
from index.filters.tree import Filter
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics

# Bytes of masks kept for each view, of which there is hardly ever another.
CAPACITY = 64 << 20


@dataclass(frozen=True, eq=False)
class View:
    """Segments, oldest first, and which of their documents live (None: all of them).

    The first come from the files of the ``generations``, the others are the parts of the ``tail``.
    Rankings name documents by sequence number, which ascends with segment and ordinal. A document
    that is split into passages is searched by these, and scores as its best one.
    ``deletions`` is the number of the newest tombstone that the masks know.

    ``fields`` has the fields and their encoders. Reads of the ``store``, and so ``masks``, are of
    the same state as long as the view is pinned; see ``Collection.pinned``.
    """

    revision: int
    generations: tuple[int, ...]
    segments: tuple[Segment, ...]
    alive: tuple[DocumentMask | None, ...]
    tail: Tail
    average_lengths: Mapping[str, float]
    deletions: int
    fields: FieldEncoders
    store: Store
    filter_masks: FilterMasks
    _masks: Recent[Filter, Masks] = dataclasses.field(
        default_factory=lambda: Recent(CAPACITY), repr=False
    )
    _statistics: dict[str, CollectionStatistics] = dataclasses.field(
        default_factory=dict, repr=False
    )

    @property
    def generation(self) -> int:
        """The newest segment file's; 0: there is none."""
        return max(self.generations, default=0)

    def __len__(self) -> int:
        return self.count_documents(self.alive)

    def count_documents(self, masks: Sequence[DocumentMask | None]) -> int:
        """Number of documents that masks, one for each segment, let pass; None lets all."""
        parts = zip(self.segments, masks, strict=True)
        return sum(segment.count_documents(alive) for segment, alive in parts)

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

        ``masks`` take the place of ``alive``.
        """
        check_engine(engine)
        documents = sum(map(len, self.segments))
        return self._search(
            lambda segment, alive, floor, wanted: segment.searcher(field.name, engine).search(
                queries, wanted, alive, for_part(pruning, len(segment), documents), floor
            ),
            len(queries),
            k,
            masks,
            once=pruning.budget_us > 0,
        )

    def search_dense(
        self, field: Field, queries: NDArray[np.float32], k: int, masks: Masks | None = None
    ) -> TopK:
        """Exact top k of a dense field over all segments; ``masks`` as for ``search_sparse``."""
        return self._search(
            lambda segment, alive, _, wanted: segment.dense_searcher(field.name).search(
                queries, wanted, alive
            ),
            len(queries),
            k,
            masks,
        )

    def masks(self, wanted: Filter) -> Masks:
        """For each segment, which documents live and pass a filter; while the view is pinned.

        Raises:
            InputError: the filter is too deep or too large.
        """
        masks = self._masks.get(wanted)
        if masks is None:
            passing = self.filter_masks.passing(self.segments, self.revision, wanted)
            masks = tuple(
                DocumentMask((found if alive is None else found & (alive.allowed != 0)).view("u1"))
                for found, alive in zip(passing, self.alive, strict=True)
            )
            self._masks.put(wanted, masks, size_of(wanted, sum(len(m.allowed) for m in masks)))
        return masks

    def statistics(self, field: Field) -> CollectionStatistics:
        """Term statistics of a field that stores counts, be it of words alone.

        Passages count, each for itself. As in Lucene, deleted documents count until their segment
        is rebuilt. The average length is the one by which all impacts were weighed.
        """
        if field.name not in self._statistics:
            self._statistics[field.name] = self._count(field)
        return self._statistics[field.name]

    def text_statistics(self, field: Field) -> CollectionStatistics:
        """Statistics of the closed terms of a field that are counted in texts.

        Of the live documents alone, passages counting each for itself. Read once, while the view
        is pinned.
        """
        key = f"texts of {field.name}"
        if key not in self._statistics:
            frequency = self.store.frequencies.total(field.size)
            self._statistics[key] = CollectionStatistics(self.store.count_rows(), frequency, 0.0)
        return self._statistics[key]

    def _count(self, field: Field) -> CollectionStatistics:
        files = self.segments[: len(self.generations)]
        counted = [segment.statistics(field.name).document_frequency for segment in files]
        counted += [part.document_frequency(field.name) for part in self.tail.parts]
        frequency = np.zeros(max([field.size, *map(len, counted)]), dtype=np.int64)
        for part in counted:
            frequency[: len(part)] += part
        return CollectionStatistics(
            sum(map(len, files)) + sum(part.live for part in self.tail.parts),
            frequency,
            self.average_lengths.get(field.name, 0.0),
            partial(self.store.dictionary.numbers, field),
        )

    def terms(self, field: Field) -> int:
        """How many terms a sparse field has, those of its open part included."""
        return self.store.dictionary.terms(field)

    def tokens(self, field: Field, terms: Sequence[int]) -> dict[int, str]:
        """How some terms of a sparse field are spelled."""
        token = self.fields.encoder(field).vocabulary.token
        spelled = {term: token(term) for term in terms if term < field.size}
        return spelled | self.store.dictionary.words(field, terms)

    def _search(
        self,
        search: Callable[[Segment, DocumentMask | None, NDArray[np.float32] | None, int], TopK],
        queries: int,
        k: int,
        masks: Masks | None,
        once: bool = False,
    ) -> TopK:
        parts = []
        floor: NDArray[np.float32] | None = None
        allowed = zip(self.segments, masks or self.alive, strict=True)
        # The largest first: its k-th score spares the others most.
        for segment, alive in sorted(allowed, key=lambda part: len(part[0]), reverse=True):
            found = best_passages(segment, partial(search, segment, alive, floor), k, once)
            parts.append(found)
            if 0 < k <= found.scores.shape[1] and len(self.segments) > 1:
                last = found.scores[:, k - 1]
                floor = np.maximum(last, 0 if floor is None else floor)
        if not parts:
            none = np.empty((queries, 0), dtype=np.int64)
            return TopK.exhaustive(none, none.astype(np.float32), "empty")
        return merge(parts, k)
