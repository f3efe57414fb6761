"""Points, vectors and conditions as qdrant-client has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from index.qdrant.conditions import Between, Condition, Either, Every, Match, Neither, Points
from index.qdrant.port import Point, Vector, sorted_vector
from lsr.sparse import SparseVector


def vector_of(vector: Vector) -> Any:
    """A vector as the client takes it."""
    if not isinstance(vector, SparseVector):
        return vector.tolist()
    from qdrant_client import models

    return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())


def vectors_of(vectors: Mapping[str, Vector]) -> Any:
    """Named vectors as the client takes them."""
    return {name: vector_of(vector) for name, vector in vectors.items()}


def point_of(record: Any) -> Point:
    """A record of the client."""
    vectors: dict[str, Vector] = {}
    for name, vector in (record.vector or {}).items():
        if isinstance(vector, list):
            vectors[name] = np.array(vector, dtype=np.float32)
        else:
            vectors[name] = sorted_vector(vector.indices, vector.values)
    return Point(int(record.id), record.payload or {}, vectors)


def number_of_offset(offset: Any) -> int | None:
    """Where the next page of a scroll begins, over HTTP or gRPC; None: there is none."""
    return None if offset is None else int(getattr(offset, "num", offset))


def filter_of(condition: Condition) -> Any:
    """The filter of the client that holds where a condition does."""
    from qdrant_client import models

    if isinstance(condition, Every):
        return models.Filter(must=[filter_of(part) for part in condition.parts])
    if isinstance(condition, Either):
        if not condition.parts:
            return filter_of(Points(()))
        return models.Filter(should=[filter_of(part) for part in condition.parts])
    if isinstance(condition, Neither):
        return models.Filter(must_not=[filter_of(condition.part)])
    return models.Filter(must=[_condition(condition)])


def _condition(condition: Match | Between | Points) -> Any:
    from qdrant_client import models

    if isinstance(condition, Points):
        return models.HasIdCondition(has_id=list(condition.numbers))
    if isinstance(condition, Match):
        match = models.MatchAny.model_validate({"any": condition.values})
        return models.FieldCondition(key=condition.path, match=match)
    if condition.of_instants:
        return models.FieldCondition(
            key=condition.path, range=models.DatetimeRange.model_validate(condition.bounds)
        )
    return models.FieldCondition(
        key=condition.path, range=models.Range.model_validate(condition.bounds)
    )
