"""A collection's vectors and queries, for servers that are asked for the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.collection.collection import Collection
from index.collection.segment_view import SegmentView
from index.search.query import SearchQuery, encode_query
from lsr.sparse import SparseBatch

FIELD = "sparse"


@dataclass(frozen=True)
class Exported:
    """Files of JSON: a row a line with ``id``, ``title``, ``text`` and ``vector``, and queries as
    a list of ``text`` and ``vector``. A document that is split has a row for each passage.
    """

    rows: Path
    queries: Path
    count: int


def export(collection: Path, queries: Sequence[dict[str, Any]], folder: Path) -> Exported:
    """Write the vectors of the sparse field, and of the queries to it."""
    rows, asked = folder / "rows.jsonl", folder / "queries.json"
    count = 0
    with closing(Collection.open(collection)) as opened, opened.pinned() as view:
        with rows.open("w") as file:
            for row in _rows(view):
                file.write(json.dumps(row) + "\n")
                count += 1
        field = next(each for each in view.fields if each.name == FIELD)
        vectors = encode_query(view, field, [_query(each) for each in queries])
        assert isinstance(vectors, SparseBatch)
        found = [
            {"text": json.dumps(query), "vector": _vector(vector.indices, vector.values)}
            for query, vector in zip(queries, vectors, strict=True)
        ]
        asked.write_text(json.dumps(found))
    return Exported(rows, asked, count)


def _query(query: dict[str, Any]) -> SearchQuery:
    sparse = query.get("sparse")
    given = (sparse["indices"], sparse["values"]) if sparse else None
    return SearchQuery(query.get("text"), sparse=given)


def _vector(terms: Any, weights: Any) -> dict[str, float]:
    return dict(zip(map(str, terms.tolist()), map(float, weights.tolist()), strict=True))


def _rows(view: SegmentView) -> Iterator[dict[str, Any]]:
    for segment in view.segments:
        batch = segment.sparse_rows(FIELD)
        owners = segment.documents.tolist()
        for start in range(0, len(segment), 1000):
            part = owners[start : start + 1000]
            documents = view.store.documents(list(dict.fromkeys(part)))
            for row, number in enumerate(part, start):
                document = documents.get(number)
                # What is deleted is still in its segment.
                if document is not None:
                    vector = batch[row]
                    yield {
                        "id": f"{document.id}#{row}",
                        "title": document.title,
                        "text": document.text,
                        "vector": _vector(vector.indices, vector.values),
                    }
