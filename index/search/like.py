"""More like this: the stored vectors of documents as the query, and these documents left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from index.collection.field import Field
from index.collection.view import Passing, View
from index.search.feedback import Rocchio
from index.search.query import SearchQuery
from lsr.errors import CorruptionError, InputError, NotFoundError
from lsr.sparse import SparseBatch, SparseVector

MOST_LIKE = 32
# The mean of the documents alone, of which in a sparse field the heaviest terms count.
MEAN = Rocchio(alpha=0, beta=1)


@dataclass(frozen=True, slots=True)
class Like:
    """Documents that others are to be like: their rows of vectors, those of passages too."""

    rows: tuple[int, ...]

    @classmethod
    def of_query(cls, view: View, query: SearchQuery) -> Like | None:
        """What a query names; None where it names no documents. The view is pinned.

        Raises:
            InputError: it names too many, or none, or has a text or vectors beside.
            NotFoundError: there is no such document.
        """
        if query.like is None:
            return None
        ids = list(dict.fromkeys([query.like] if isinstance(query.like, str) else query.like))
        given = (query.text, query.tokens, query.sparse, query.dense)
        if any(each is not None for each in given):
            raise InputError(
                "the query names documents to be like, and has a text or a vector beside; give one"
            )
        if not 1 <= len(ids) <= MOST_LIKE:
            raise InputError(
                f"the query names {len(ids)} documents to be like; allowed is 1 to {MOST_LIKE}"
            )
        return cls(rows_of(view, ids))

    def as_query(self, view: View, field: Field, dense_weight: float | None) -> SearchQuery:
        """The query to one field: the mean of the rows, in the scale of queries.

        Raises:
            CorruptionError: the stored vectors are damaged.
        """
        if field.kind == "dense":
            found = list(view.dense_rows(field, self.rows).values())
            if not found:
                raise CorruptionError(view.store.damage(f"vectors of the field {field.name!r}"))
            vectors = view.fields.as_queries(field, np.array(found, dtype=np.float32), dense_weight)
            return SearchQuery(dense=MEAN.dense(np.zeros(field.size, np.float32), vectors).tolist())
        sound, rows = view.scored_rows(field, self.rows)
        if not sound:
            raise CorruptionError(view.store.damage(f"vectors of the field {field.name!r}"))
        nothing = SparseVector(np.empty(0, np.int32), np.empty(0, np.float32))
        mean = MEAN.sparse(nothing, as_queries(view, field, rows))
        return SearchQuery(sparse=(mean.indices.tolist(), mean.values.tolist()))

    def left_out(self, view: View, masks: Passing | None) -> Passing:
        """What may be found without these documents; None: all that live."""
        return view.without(self.rows, masks)


def rows_of(view: View, ids: Sequence[str]) -> tuple[int, ...]:
    """The rows of vectors of some documents, those of passages one after the other.

    Raises:
        NotFoundError: one is not there.
    """
    numbers = view.store.sequences(ids)
    for identifier in ids:
        if identifier not in numbers:
            raise NotFoundError(f"there is no document {identifier!r}")
    ordered = [numbers[identifier] for identifier in ids]
    sizes = view.store.passages.sizes(ordered)
    return tuple(row for number in ordered for row in range(number, number + max(sizes[number], 1)))


def as_queries(view: View, field: Field, rows: SparseBatch) -> SparseBatch:
    """Rows in the scale of queries: where terms are counted, queries carry their IDF."""
    if not field.weighed:
        return rows
    counted = rows.indices >= (0 if field.counts else field.size)
    idf = view.statistics(field).idf_of(rows.indices)
    return replace(rows, values=np.where(counted, rows.values * idf, rows.values))
