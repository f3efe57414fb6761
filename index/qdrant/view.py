"""One state of a collection in Qdrant, as the query path sees it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from index.collection.column import Column, make_columns
from index.collection.field import Field
from index.collection.field_encoders import FieldEncoders
from index.collection.metadata import DATE, KINDS, KeyDescription
from index.collection.search_defaults import SETTING
from index.engines.searcher import EXACT, Pruning, TopK
from index.filters.tree import Filter, Kind, Scalar
from index.qdrant.conditions import Between, Condition, Neither, Points, every
from index.qdrant.documents import FIRST_ROWS, QdrantStore, rows_of_documents
from index.qdrant.filters import column_of, condition_of, having
from index.qdrant.layout import (
    HAS,
    ODD,
    N,
    document_number,
    number_of,
    path_of,
    scalar_of,
    values_at,
)
from index.qdrant.port import Found, QdrantPort
from index.qdrant.ranking import spread, top_of
from index.qdrant.state import Counted, texts_of
from index.qdrant.statistics import NO_TERMS, FrequencyLog
from lsr.errors import UsageError
from lsr.sparse import SparseBatch, SparseVector
from lsr.statistics import CollectionStatistics

# Values of a key, and keys with their kinds, that are counted at most.
MOST_VALUES = 100_000
ENGINES = ("native", "qdrant")


class QdrantView:
    """``View`` of a collection in Qdrant: a state, and what is asked of Qdrant on its account.

    Filters are conditions of Qdrant. Qdrant has no snapshots for readers: rows that a later state
    added don't count here, but those that it took away may be missing already.
    """

    def __init__(
        self, port: QdrantPort, store: QdrantStore, fields: FieldEncoders, log: FrequencyLog
    ) -> None:
        self._port = port
        self._log = log
        self.store = store
        self.fields = fields
        self.state = store.state
        self._statistics: dict[str, CollectionStatistics] = {}
        self._masks: dict[Filter, Condition] = {}

    @property
    def revision(self) -> int:
        """Grows with each write."""
        return self.state.revision

    @property
    def generation(self) -> int:
        """Grows with each write; 0: nothing was written."""
        return self.state.revision

    @property
    def rows(self) -> int:
        """How many rows live."""
        return self.state.rows

    @property
    def newest(self) -> int:
        """The largest number that a row may have; each that is written later has a larger."""
        return number_of(self.state.written + 1) - 1

    @property
    def search_defaults(self) -> str:
        """How it is searched where a search doesn't say, as JSON."""
        return self.state.settings.get(SETTING, "{}")

    @property
    def caveats(self) -> list[str]:
        """What may be otherwise for a while."""
        if not self.state.weighing:
            return []
        names = ", ".join(map(repr, self.state.weighing))
        return [
            f"the weights of {names} are being brought up to the lengths that documents have by "
            "now; until that has ended, some are weighed by former ones"
        ]

    @cached_property
    def _has(self) -> dict[str, int]:
        """How many documents have each kind under each key (``has_of``)."""
        found = self._port.facet(HAS, MOST_VALUES, self._living(FIRST_ROWS))
        return {str(token): count for token, count in found.items()}

    @property
    def keys(self) -> list[str]:
        """The metadata keys that documents have, sorted."""
        return sorted({token[1:] for token in self._has})

    def kinds(self, key: str) -> frozenset[Kind]:
        """The kinds of the values that documents have under a key."""
        return frozenset(kind for kind in Kind if f"{int(kind)}{key}" in self._has)

    def holds_dates(self, key: str) -> bool:
        """Whether all strings under a key are dates."""
        return f"{ODD}{key}" not in self._has

    def describe_keys(self) -> list[KeyDescription]:
        """Every metadata key, by name, with how many documents have each kind of values."""
        described = []
        for key in self.keys:
            counts = {kind: self._has.get(f"{int(kind)}{key}", 0) for kind in Kind}
            kinds = {KINDS[kind]: count for kind, count in counts.items() if count}
            if self.holds_dates(key) and "string" in kinds:
                kinds = {DATE if name == "string" else name: n for name, n in kinds.items()}
            described.append(KeyDescription(key, kinds))
        return described

    def rows_after(self, number: int) -> int:
        """How many rows of documents after that of a row there are."""
        if number >= self.newest:
            return 0
        after = Between(N, float(document_number(number)), None, low_included=False)
        return self._port.count(self._living(after))

    def masks(self, wanted: Filter) -> Condition:
        """What passes a filter.

        Raises:
            InputError: the filter is too deep or too large, or has a range that can't be.
        """
        condition = self._masks.get(wanted)
        if condition is None:
            condition = condition_of(wanted, self._has.keys(), self._values)
            self._masks = {wanted: condition}
        return condition

    def only(self, rows: Sequence[int]) -> Condition:
        """These rows."""
        return Points(tuple(rows))

    def only_documents(self, numbers: NDArray[np.int64]) -> Condition:
        """All rows of these documents, int64 (n,)."""
        return Points(tuple(rows_of_documents(self.store, numbers.tolist())))

    def without(self, rows: Sequence[int], masks: Condition | None) -> Condition:
        """What may be found but for these rows."""
        found = every([masks, Neither(Points(tuple(rows)))])
        assert found is not None
        return found

    def passes(self, wanted: Filter, rows: Sequence[int]) -> bool:
        """Whether a filter lets any of some rows pass."""
        return self._port.count(every([Points(tuple(rows)), self.masks(wanted)])) > 0

    def count_documents(self, masks: Condition | None) -> int:
        """How many documents may be found."""
        if masks is None:
            return self.state.documents
        return self._port.count(self._living(FIRST_ROWS, masks))

    def search_sparse(
        self,
        field: Field,
        queries: SparseBatch,
        k: int,
        engine: str,
        pruning: Pruning = EXACT,
        masks: Condition | None = None,
    ) -> TopK:
        """Top k of a sparse field, by exhaustive search whatever ``pruning`` allows.

        Raises:
            UsageError: the engine is none that searches here.
        """
        if engine not in ENGINES:
            raise UsageError(
                f"a collection in Qdrant is searched by Qdrant, and {engine!r} was asked for; "
                "leave the engine out"
            )
        condition = self._living(masks)
        asked = [place for place, query in enumerate(queries) if len(query)]

        def search(places: Sequence[int], limit: int) -> list[Found]:
            rows = SparseBatch.from_rows(
                (queries[asked[place]] for place in places), queries.vocabulary_size
            )
            return self._port.search(field.name, rows, limit, condition)

        def exactly(place: int) -> tuple[SparseVector, partial[dict[int, SparseVector]]]:
            return queries[asked[place]], partial(self.store.vectors.scored, field)

        split = self.state.split > 0
        top = top_of(search, len(asked), k, split, self.newest, True, exactly)
        return spread(top, asked, len(queries))

    def search_dense(
        self, field: Field, queries: NDArray[np.float32], k: int, masks: Condition | None = None
    ) -> TopK:
        """Exact top k of a dense field: no graph is walked."""
        condition = self._living(masks)

        def search(places: Sequence[int], limit: int) -> list[Found]:
            return self._port.search(field.name, queries[list(places)], limit, condition)

        return top_of(search, len(queries), k, self.state.split > 0, self.newest, False)

    def weights(
        self, field: Field, rows: Sequence[int], terms: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """The weights that Qdrant scores of some terms of a sparse field, float32 (rows, terms)."""
        found = np.zeros((len(rows), len(terms)), dtype=np.float32)
        held = self.store.vectors.scored(field, rows)
        for place, number in enumerate(rows):
            row = held.get(number)
            if row is not None:
                _, asked, there = np.intersect1d(terms, row.indices, return_indices=True)
                found[place, asked] = row.values[there]
        return found

    def scored_rows(self, field: Field, numbers: Sequence[int]) -> tuple[list[int], SparseBatch]:
        """The weights that Qdrant scores of rows of a sparse field; see ``View.scored_rows``."""
        held = self.store.vectors.scored(field, numbers)
        return list(held), SparseBatch.from_rows(held.values(), self.terms(field))

    def dense_rows(self, field: Field, numbers: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """The vectors, float32 (dimension,), of those rows of a dense field that are there."""
        return self.store.vectors.sound_dense_rows(field, numbers)

    def columns_of(
        self, keys: Collection[str], numbers: NDArray[np.int64]
    ) -> list[tuple[dict[str, Column], NDArray[np.int64], NDArray[np.int64]]]:
        """Columns of these documents alone, in one part; see ``View.columns_of``."""
        ordered = np.sort(numbers)
        paths = [path_of(key, "is") for key in keys]
        points = self.store.points(ordered.tolist(), paths) if paths else {}
        columns = {}
        for key in keys:
            held: dict[Scalar, list[int]] = {}
            for number, point in points.items():
                for token in values_at(point.payload, path_of(key, "is")):
                    held.setdefault(scalar_of(token), []).append(number)
            scalars = sorted(held)
            having = [number for scalar in scalars for number in held[scalar]]
            (columns[key],) = make_columns(
                [scalar.kind for scalar in scalars],
                [scalar.value for scalar in scalars],
                [len(held[scalar]) for scalar in scalars],
                np.array(having, dtype=np.int64),
                [ordered],
            )
        places = np.arange(len(numbers), dtype=np.int64)
        return [(columns, places, np.searchsorted(ordered, numbers).astype(np.int64))]

    def all_columns(
        self, keys: Collection[str], masks: Condition | None
    ) -> list[tuple[dict[str, Column], NDArray[np.int64], NDArray[np.bool_]]]:
        """Refused: Qdrant gives no column of all documents.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"dimensions need the values of {', '.join(map(repr, keys))} of every document at "
            "once, which Qdrant does not give; filter by them, or search a directory"
        )

    def chosen(self, masks: Condition | None) -> Condition | None:
        """The documents that may be found, for ``value_counts``."""
        return masks

    def among(self, numbers: NDArray[np.int64]) -> Condition:
        """These documents, int64 (n,), for ``value_counts``."""
        return Points(tuple(numbers.tolist()))

    def value_counts(
        self, key: str, chosen: Condition | None
    ) -> tuple[int, int, list[tuple[Column, NDArray[np.int64]]]]:
        """How many of the chosen documents have each value of a key; the most frequent ones."""
        documents = self.count_documents(chosen)
        kinds = self.kinds(key) - {Kind.OBJECT}
        if not kinds or not documents:
            return documents, 0, []
        wanted = self._living(FIRST_ROWS, chosen)
        there = self._port.count(every([wanted, having(key, *kinds)]))
        found = self._port.facet(path_of(key, "is"), MOST_VALUES, wanted)
        counted = {scalar_of(token): count for token, count in found.items()}
        column = column_of(counted)
        counts = [counted[column.scalar(code)] for code in range(len(counted))]
        return documents, there, [(column, np.array(counts, dtype=np.int64))]

    def statistics(self, field: Field) -> CollectionStatistics:
        """Term statistics of a field that stores counts, over the rows that live."""
        return self._counted(field, field.name, with_words=True)

    def text_statistics(self, field: Field) -> CollectionStatistics:
        """Statistics of the closed terms of a field that are counted in texts."""
        return self._counted(field, texts_of(field.name), with_words=False)

    def terms(self, field: Field) -> int:
        """How many terms a sparse field has, those of its open part included."""
        return self.store.dictionary.terms(field)

    def tokens(self, field: Field, terms: Sequence[int]) -> dict[int, str]:
        """How some terms of a sparse field are spelled."""
        token = self.fields.encoder(field).vocabulary.token
        spelled = {term: token(term) for term in terms if term < field.size}
        return spelled | self.store.dictionary.words(field, terms)

    def _counted(self, field: Field, name: str, with_words: bool) -> CollectionStatistics:
        statistics = self._statistics.get(name)
        if statistics is None:
            counted = self.state.counted.get(name, Counted())
            held = self._log.totals(self.state).get(name, NO_TERMS)
            frequency = np.zeros(max(field.size, len(held)), dtype=np.int64)
            frequency[: len(held)] = held
            statistics = CollectionStatistics(counted.rows, frequency, counted.average)
            if with_words:
                numbers = partial(self.store.dictionary.numbers, field)
                statistics = replace(statistics, numbers=numbers)
            self._statistics[name] = statistics
        return statistics

    def _living(self, *conditions: Condition | None) -> Condition | None:
        """All of the conditions, for rows that count."""
        return every([*conditions, self.store.living()])

    def _values(self, path: str, limit: int, among: Condition | None) -> list[str | int]:
        return list(self._port.facet(path, limit, among))
