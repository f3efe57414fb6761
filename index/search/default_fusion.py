"""The fusion of a search that names none."""

from __future__ import annotations

from collections.abc import Sequence

from index.collection.field import Field
from index.search.fusion import Fusion, LinearFusion


def default_fusion(fields: Sequence[Field]) -> Fusion:
    """What is fused how, by the kinds of the fields."""
    return LinearFusion(norm="min-max")
