"""True scores of documents that a ranking lacks, for exact interpolation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from index.collection.view import View
from index.engines.searcher import TopK
from index.search.plan import FieldSearch
from index.search.query import EncodedQuery
from lsr.sparse import SparseBatch, SparseVector

Ranking = list[tuple[int, float]]


def completed(
    view: View,
    searches: Sequence[FieldSearch],
    vectors: Mapping[str, EncodedQuery],
    sources: Mapping[str, Ranking],
    passages: Mapping[str, Mapping[int, int]],
    engine: str,
) -> tuple[dict[str, Ranking], dict[str, Mapping[int, int]]]:
    """Rankings that all have every document that one of them has, and the passages of each.

    What a ranking lacks comes from the same engine, by a search of these documents alone, so scores
    are those of an exact search to the bit; a document that a sparse field doesn't find has 0.

    Args:
        view: what was searched; it is pinned.
        searches: the fields.
        vectors: of the query, by field.
        sources: the ranking of each field.
        passages: for each field the place of the best passage in each document that is split.
        engine: what searches sparse fields.
    """
    union = {number for source in sources.values() for number, _ in source}
    rankings, places = dict(sources), dict(passages)
    for each in searches:
        name = each.field.name
        missing = sorted(union.difference(number for number, _ in sources[name]))
        if not missing:
            continue
        top = _search_among(view, each, vectors[name], missing, engine)
        found = dict(top.ranking(0))
        whole = [*sources[name], *((number, found.get(number, 0.0)) for number in missing)]
        rankings[name] = sorted(whole, key=lambda scored: (-scored[1], scored[0]))
        places[name] = {**passages.get(name, {}), **top.passages_of(0)}
    return rankings, places


def _search_among(
    view: View, search: FieldSearch, vector: EncodedQuery, numbers: Sequence[int], engine: str
) -> TopK:
    """The ranking of some documents alone, which live."""
    masks = view.only_documents(np.array(numbers, dtype=np.int64))
    if isinstance(vector, SparseVector):
        row = SparseBatch.from_rows([vector], view.terms(search.field))
        return view.search_sparse(search.field, row, len(numbers), engine, masks=masks)
    return view.search_dense(search.field, vector[np.newaxis], len(numbers), masks)
