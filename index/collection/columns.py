"""The metadata columns of the segments of a collection: read from the store once, and kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.collection.column import Column, passing
from index.collection.metadata import (
    KeyDescription,
    columns_of_documents,
    count_rows,
    describe_keys,
    has_sound_values,
    read_columns,
)
from index.collection.segment import Segment
from index.collection.storage_errors import read_error
from index.collection.store import Store
from index.filters.tree import Filter, check_size, conditions_of
from lsr.errors import CorruptionError

# To read the row of a document takes as long as to pass over so many values in the table.
ROW_COST = 200


class Columns:
    """Reads the columns of segments, which keep them.

    They never change for a segment, since a sequence number stands for one version of a document.
    What has died has no metadata any more, though, so a column serves the views from its own
    revision on, where the dead are masked. Safe to use from several threads.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sound_keys: set[str] = set()
        self._described: tuple[int, list[KeyDescription]] | None = None

    def of(
        self, segments: Sequence[Segment], revision: int, keys: Collection[str]
    ) -> list[dict[str, Column]]:
        """The columns of some keys in each segment of a view; those not known yet are read.

        To be called while the view is pinned, so that the store is of that revision.

        Raises:
            CorruptionError: the values of a key are damaged.
        """
        found: list[dict[str, Column]] = [{} for _ in segments]
        missing: dict[int, set[str]] = {}
        for place, segment in enumerate(segments):
            for key in keys:
                since, column = segment.columns.get(key) or (revision + 1, None)
                if column is None or since > revision:
                    missing.setdefault(place, set()).add(key)
                else:
                    found[place][key] = column
        if missing:
            places = list(missing)
            wanted = set().union(*missing.values())
            read = self.read(wanted, [segments[place].numbers for place in places])
            for key in wanted:
                for place, column in zip(places, read[key], strict=True):
                    found[place][key] = column
                    segments[place].columns.put(key, (revision, column), column.nbytes)
        return found

    def matching(self, wanted: Filter, live: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of some live documents, int64 (n,), ascending, a filter lets pass; bool (n,).

        Raises:
            InputError: the filter is too deep or too large.
            CorruptionError: the values of a key that it names are damaged.
        """
        check_size(wanted)
        columns = self.read({part.key for part in conditions_of(wanted)}, [live])
        return passing(wanted, {key: column for key, (column,) in columns.items()}, len(live))

    def read(
        self, keys: Collection[str], segments: Sequence[NDArray[np.int64]]
    ) -> dict[str, list[Column]]:
        """The columns of some keys in segments of these documents, int64 (n,), ascending.

        Raises:
            CorruptionError: the values of a key are damaged. That is looked at once for each key,
                for it takes a read of them all.
        """
        try:
            self._check(keys)
            documents = [number for part in segments for number in part.tolist()]
            if ROW_COST * len(documents) < self._store.count():
                metadata = self._metadata_of(documents)
                if metadata is not None:
                    return columns_of_documents(metadata, keys, segments)
            return {key: read_columns(self._store.connection, key, segments) for key in keys}
        except sqlite3.Error as error:
            raise read_error(self._store.path, error) from error
        except ValueError as error:
            raise self._damaged(str(error)) from error

    def _metadata_of(self, documents: Sequence[int]) -> list[tuple[int, dict[str, Any]]] | None:
        """The metadata of each document; None where one is damaged."""
        rows = list(self._store.document_rows(documents))
        if not all(row.is_sound() for row in rows):
            return None
        try:
            return [(row.head.sequence, json.loads(row.metadata)) for row in rows]
        except (ValueError, RecursionError):
            return None

    def _damaged(self, key: str) -> CorruptionError:
        return CorruptionError(self._store.damage(f"table of the metadata key {key!r}"))

    def keys(self) -> list[str]:
        """The keys that documents have, sorted."""
        try:
            return sorted(count_rows(self._store.connection))
        except sqlite3.Error as error:
            raise read_error(self._store.path, error) from error

    def describe(self) -> list[KeyDescription]:
        """Every key, by name, with its kinds; counted anew once the collection has changed.

        Raises:
            CorruptionError: the values of a key are damaged.
        """
        try:
            with self._store.reading():
                revision = self._store.revision()
                if self._described is None or self._described[0] != revision:
                    described = describe_keys(self._store.connection)
                    held = {each.key: sum(each.kinds.values()) for each in described}
                    if held != count_rows(self._store.connection):
                        raise ValueError(held)
                    self._described = revision, described
                return self._described[1]
        except sqlite3.Error as error:
            raise read_error(self._store.path, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptionError(self._store.damage("table of the metadata")) from error

    def _check(self, keys: Collection[str]) -> None:
        new = [key for key in keys if key not in self._sound_keys]
        for key in new:
            if not has_sound_values(self._store.connection, key):
                raise self._damaged(key)
        self._sound_keys.update(new)
