"""Weights as integers, as Anserini's impact indexes and CIFF want them."""

from __future__ import annotations

import numpy as np

from lsr.errors import InputError, UsageError
from lsr.sparse import SparseBatch

LARGEST_EXACT = 1 << 24


def check_scale(scale: float) -> float:
    """The scale itself; raises UsageError unless it is above 0 and finite."""
    if not (np.isfinite(scale) and scale > 0):
        raise UsageError(f"weights can't be quantised by {scale}; give a number above 0, as 100")
    return scale


def quantise(batch: SparseBatch, scale: float) -> SparseBatch:
    """round(weight * scale), half to even; weights that become 0 are dropped.

    Raises:
        InputError: an impact is above 2^24, beyond which float32 leaves out integers.
    """
    impacts = np.rint(batch.values.astype(np.float64) * scale)
    if impacts.max(initial=0) > LARGEST_EXACT:
        raise InputError(
            f"the weight {batch.values.max()} times {scale:g} is above {LARGEST_EXACT}; quantise "
            "by a smaller number"
        )
    scaled = SparseBatch(
        batch.indptr,
        batch.indices,
        impacts.astype(np.float32),
        batch.vocabulary_size,
        batch.words,
    )
    return scaled.keep(impacts > 0)


def whole(batch: SparseBatch) -> bool:
    """Whether all weights are integers that ``quantise`` by 1 leaves as they are."""
    return bool(((batch.values == np.rint(batch.values)) & (batch.values <= LARGEST_EXACT)).all())
