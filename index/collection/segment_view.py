"""One consistent state of a collection of segments, as searches see it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from index.collection.builder import Builder
from index.collection.column import Column
from index.collection.columns import Columns
from index.collection.dictionary import RememberedWords
from index.collection.field import Field
from index.collection.field_encoders import FieldEncoders
from index.collection.recent import Recent
from index.collection.search_defaults import search_defaults_text
from index.collection.segment import Segment
from index.collection.segment_masks import (
    filter_masks,
    only_documents,
    only_rows,
    passing_documents,
    size_of_masks,
    without_rows,
)
from index.collection.segment_search import search_in_turn, search_together
from index.collection.store import Store
from index.collection.tail import Tail
from index.engines.document_mask import DocumentMask, Masks
from index.engines.effort import for_part
from index.engines.posting_list import half
from index.engines.registry import check_engine
from index.engines.searcher import EXACT, Pruning, TopK
from index.filters.dates import instant
from index.filters.tree import Filter, Kind, check_size, conditions_of
from lsr.errors import CorruptionError
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics

T = TypeVar("T")
log = logging.getLogger(__name__)
# Bytes of masks kept for each view, of which there is hardly ever another.
CAPACITY = 64 << 20
# Keys whose kinds are kept.
MOST_KINDS = 1000


@dataclass(frozen=True, eq=False)
class SegmentView:
    """``View`` of segments, oldest first, and which of their documents live (None: all of them).

    The first come from the files of the ``generations``, the others are the parts of the ``tail``.
    Rankings name documents by sequence number, which ascends with segment and ordinal. A document
    that is split into passages is searched by these, and scores as its best one.
    ``deletions`` is the number of the newest tombstone that the masks know.

    ``fields`` has the fields and their encoders. Reads of the ``store``, and so ``masks`` and
    ``columns``, are of the same state as long as the view is pinned; see ``Collection.pinned``.
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
    column_reader: Columns
    _masks: Recent[Filter, Masks] = dataclasses.field(
        default_factory=lambda: Recent(CAPACITY), repr=False
    )
    _kinds: Recent[str, frozenset[Kind]] = dataclasses.field(
        default_factory=lambda: Recent(MOST_KINDS), repr=False
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

    @property
    def caveats(self) -> list[str]:
        """None: answers are what is asked for."""
        return []

    @cached_property
    def rows(self) -> int:
        """How many rows the segments have, dead or alive."""
        return sum(map(len, self.segments))

    @property
    def newest(self) -> int:
        """The largest number of a row; each that is written later has a larger."""
        return max((int(part.sequence[-1]) for part in self.segments if len(part)), default=0)

    def rows_after(self, number: int) -> int:
        """How many rows have a larger number, dead or alive."""
        ends = (np.searchsorted(part.sequence, number, "right") for part in self.segments)
        return sum(len(part) - int(end) for part, end in zip(self.segments, ends, strict=True))

    def count_documents(self, masks: Sequence[DocumentMask | None] | None) -> int:
        """Number of documents that masks, one for each segment, let pass; None lets all live."""
        parts = zip(self.segments, masks or self.alive, strict=True)
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
        allowed = masks or self.alive
        check_engine(engine)

        def search() -> TopK:
            if engine == "native" and self.segments:
                return search_together(self.segments, allowed, field.name, queries, k, pruning)
            documents = self.rows
            return search_in_turn(
                lambda segment, alive, floor, wanted: segment.searcher(field.name, engine).search(
                    queries, wanted, alive, for_part(pruning, len(segment), documents), floor
                ),
                self.segments,
                allowed,
                len(queries),
                k,
                once=pruning.budget_us > 0,
            )

        return self._soundly(field, search)

    def search_dense(
        self, field: Field, queries: NDArray[np.float32], k: int, masks: Masks | None = None
    ) -> TopK:
        """Exact top k of a dense field over all segments; ``masks`` as for ``search_sparse``."""
        return search_in_turn(
            lambda segment, alive, _, wanted: segment.dense_searcher(field.name).search(
                queries, wanted, alive
            ),
            self.segments,
            masks or self.alive,
            len(queries),
            k,
        )

    def weights(
        self, field: Field, rows: Sequence[int], terms: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """The weights that engines score of some terms of a sparse field, float32 (rows, terms).

        ``rows`` are numbers of documents, or of passages; 0 where one lacks a term, or isn't there.
        """
        return self._soundly(field, lambda: self._weights(field, rows, terms))

    def _weights(
        self, field: Field, rows: Sequence[int], terms: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        wanted = np.array(rows, dtype=np.int64)
        found = np.zeros((len(rows), len(terms)), dtype=np.float32)
        left = np.arange(len(rows))
        for segment in self.segments:
            places = np.searchsorted(segment.sequence, wanted[left])
            places[places == len(segment)] = 0
            here = segment.sequence[places] == wanted[left] if len(segment) else places < 0
            if here.any():
                index = segment.indexes[field.name]
                found[left[here]] = index.weights_of(places[here].astype(np.int64), terms)
                left = left[~here]
            if not left.size:
                break
        return found

    def _soundly(self, field: Field, read: Callable[[], T]) -> T:
        """What is read of a sparse field; of the store, where lists turn out to be malformed."""
        try:
            return read()
        except CorruptionError as error:
            parts = zip(self.segments, self.alive, strict=True)
            damaged = [each for each in parts if each[0].indexes[field.name].core.is_malformed]
            if not damaged:
                raise
            log.warning("a segment is damaged: %s; it is rebuilt from the store in memory", error)
            for segment, alive in damaged:
                self._rebuild(field, segment, alive)
        return read()

    def _rebuild(self, field: Field, segment: Segment, alive: DocumentMask | None) -> None:
        """Give a segment a sound index of a field, while the view is pinned.

        Raises:
            CorruptionError: what was asked for was made of the damaged one; or the view is not
                pinned, and the store has changed.
        """
        builder = Builder(self.store, self.fields.encoder)
        index, there = builder.index(field.name, segment.sequence, self.average_lengths)
        before = segment.indexes[field.name].document_frequency()
        segment.replace_index(field.name, index)
        relied_on = self._statistics.pop(field.name, None) is not None
        lost = not there.all() if alive is None else bool((alive.allowed != 0)[~there].any())
        if lost or (relied_on and not np.array_equal(before, index.document_frequency())):
            raise CorruptionError(
                "a damaged segment was rebuilt from the store while it was searched; search again"
            )

    def scored_rows(self, field: Field, numbers: Sequence[int]) -> tuple[list[int], SparseBatch]:
        """The weights that engines score of rows of a sparse field; while the view is pinned.

        Returns:
            The numbers of the rows that are not damaged, and a row for each.
        """
        stored = self.store.vectors.sound_rows(field, numbers)
        rows = SparseBatch.from_rows(stored.values(), self.terms(field))
        statistics = self.statistics(field) if field.weighed else None
        impacts = self.fields.encoder(field).impacts(rows, statistics)
        weights = half(impacts.values).astype(np.float32)
        return list(stored), dataclasses.replace(impacts, values=weights)

    def dense_rows(self, field: Field, numbers: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """The vectors, float32 (dimension,), of rows of a dense field that segments hold."""
        found = {}
        wanted = np.unique(np.asarray(numbers, dtype=np.int64))
        for segment in self.segments:
            places = np.searchsorted(segment.sequence, wanted)
            for number, place in zip(wanted.tolist(), places.tolist(), strict=True):
                if place < len(segment) and segment.sequence[place] == number:
                    found[number] = segment.vectors[field.name][place]
        return found

    def masks(self, wanted: Filter) -> Masks:
        """For each segment, which documents live and pass a filter; while the view is pinned.

        Raises:
            InputError: the filter is too deep or too large.
            CorruptionError: the values of a key that it names are damaged.
        """
        masks = self._masks.get(wanted)
        if masks is None:
            check_size(wanted)
            columns = self.columns({part.key for part in conditions_of(wanted)})
            masks = filter_masks(wanted, self.segments, columns, self.alive)
            self._masks.put(wanted, masks, size_of_masks(wanted, masks))
        return masks

    def only(self, rows: Sequence[int]) -> Masks:
        """The masks that let these rows pass alone."""
        return only_rows(self.segments, rows)

    def only_documents(self, numbers: NDArray[np.int64]) -> Masks:
        """The masks that let the rows of these documents pass alone, int64 (n,), ascending."""
        return only_documents(self.segments, numbers)

    def without(self, rows: Sequence[int], masks: Masks | None) -> Masks:
        """The masks, or what lives, without these rows."""
        return without_rows(self.segments, masks or self.alive, rows)

    def passes(self, wanted: Filter, rows: Sequence[int]) -> bool:
        """Whether a filter lets any of some rows pass; while the view is pinned."""
        parts = zip(self.masks(wanted), self.only(rows), strict=True)
        return any(bool(np.any((mask.allowed != 0) & (own.allowed != 0))) for mask, own in parts)

    def columns(self, keys: Collection[str]) -> list[dict[str, Column]]:
        """The metadata columns of some keys in each segment; while the view is pinned.

        Raises:
            CorruptionError: the values of a key are damaged.
        """
        return self.column_reader.of(self.segments, self.revision, keys)

    @cached_property
    def keys(self) -> list[str]:
        """The metadata keys that documents have, sorted; while the view is pinned."""
        return self.column_reader.keys()

    @cached_property
    def search_defaults(self) -> str:
        """What ``search_defaults_text`` says of the store; while the view is pinned."""
        return search_defaults_text(self.store)

    def kinds(self, key: str) -> frozenset[Kind]:
        """The kinds of the values that documents have under a key; while the view is pinned.

        Raises:
            CorruptionError: the values of the key are damaged.
        """
        kinds = self._kinds.get(key)
        if kinds is None:
            found: set[int] = set()
            for segment, columns, alive in zip(
                self.segments, self.columns([key]), self.alive, strict=True
            ):
                held = columns[key].kinds
                if alive is not None:
                    held = held[columns[key].counts(segment.of_documents(alive.allowed != 0)) > 0]
                found.update(held.tolist())
            kinds = frozenset(map(Kind, found))
            self._kinds.put(key, kinds, 1)
        return kinds

    def holds_dates(self, key: str) -> bool:
        """Whether the first and the last string under a key, in each segment, are dates."""
        held = [columns[key].values for columns in self.columns([key])]
        ends = [str(value) for values in held for value in (*values[:1], *values[-1:])]
        return all(instant(end) is not None for end in ends)

    def columns_of(
        self, keys: Collection[str], numbers: NDArray[np.int64]
    ) -> list[tuple[dict[str, Column], NDArray[np.int64], NDArray[np.int64]]]:
        """The columns of each segment, and ``places`` of some documents; while it is pinned."""
        return [(c, *p) for c, p in zip(self.columns(keys), self.places(numbers), strict=True)]

    def all_columns(
        self, keys: Collection[str], masks: Masks | None
    ) -> list[tuple[dict[str, Column], NDArray[np.int64], NDArray[np.bool_]]]:
        """The columns, numbers and passing documents of each segment; while it is pinned."""
        numbers = (segment.numbers for segment in self.segments)
        return list(zip(self.columns(keys), numbers, self.chosen(masks), strict=True))

    def chosen(self, masks: Masks | None) -> list[NDArray[np.bool_]]:
        """The documents of each segment that live and that masks let pass (None: all)."""
        return passing_documents(self.segments, masks or self.alive)

    def among(self, numbers: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
        """The documents of each segment that are among some, int64 (n,)."""
        chosen = []
        for segment, (_, ordinals) in zip(self.segments, self.places(numbers), strict=True):
            found = np.zeros(len(segment.numbers), dtype=np.bool_)
            found[ordinals] = True
            chosen.append(found)
        return chosen

    def value_counts(
        self, key: str, chosen: Sequence[NDArray[np.bool_]]
    ) -> tuple[int, int, list[tuple[Column, NDArray[np.int64]]]]:
        """How many of the chosen documents have each value of a key; see ``View.value_counts``."""
        columns = [each[key] for each in self.columns([key])]
        parts = list(zip(columns, chosen, strict=True))
        having = (int(np.count_nonzero(part & (column.smallest >= 0))) for column, part in parts)
        documents = sum(int(np.count_nonzero(part)) for part in chosen)
        return documents, sum(having), [(column, column.counts(part)) for column, part in parts]

    def places(
        self, numbers: NDArray[np.int64]
    ) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """For each segment, which of some documents are in it, and which of its documents they are.

        ``numbers`` int64 (n,). Places in these, and in the segment's ``numbers``, both int64.
        """
        found = []
        for segment in self.segments:
            if len(segment) == 0:
                found.append((np.empty(0, np.int64), np.empty(0, np.int64)))
                continue
            # Segments have ranges of numbers to themselves.
            first, last = segment.numbers[0], segment.numbers[-1]
            places = np.flatnonzero((first <= numbers) & (numbers <= last))
            found.append((places, segment.ordinals(numbers[places])))
        return found

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
            partial(self.words.numbers, field),
        )

    @cached_property
    def words(self) -> RememberedWords:
        """The words of the open fields; while the view is pinned."""
        return RememberedWords(self.store.dictionary)

    def terms(self, field: Field) -> int:
        """How many terms a sparse field has, those of its open part included."""
        return self.store.dictionary.terms(field)

    def tokens(self, field: Field, terms: Sequence[int]) -> dict[int, str]:
        """How some terms of a sparse field are spelled."""
        token = self.fields.encoder(field).vocabulary.token
        spelled = {term: token(term) for term in terms if term < field.size}
        return spelled | self.words.words(field, terms)
