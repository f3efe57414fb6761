"""Masks of the segments of a collection, and which documents of each they let pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from index.collection.column import Column, passing
from index.collection.segment import Segment
from index.engines.document_mask import DocumentMask, Masks, living
from index.filters.tree import Filter

# Bytes that masks of a filter take beside its rows.
OVERHEAD = 1024


def filter_masks(
    wanted: Filter,
    segments: Sequence[Segment],
    columns: Sequence[Mapping[str, Column]],
    alive: Sequence[DocumentMask | None],
) -> Masks:
    """For each segment, which rows live (None: all) and pass a filter on keys with these columns.

    The size of the filter was checked.
    """
    parts = zip(segments, columns, alive, strict=True)
    return tuple(
        _living(segment.of_rows(passing(wanted, each, len(segment.numbers))), living_rows)
        for segment, each, living_rows in parts
    )


def size_of_masks(wanted: Filter, masks: Masks) -> int:
    """Bytes that an entry takes, roughly: a filter on long lists is larger than a small mask."""
    return OVERHEAD + 2 * len(repr(wanted)) + sum(len(mask.allowed) for mask in masks)


def only_rows(segments: Sequence[Segment], rows: Sequence[int]) -> Masks:
    """The masks that let these rows pass alone."""
    return tuple(DocumentMask(np.isin(each.sequence, rows).view(np.uint8)) for each in segments)


def only_documents(segments: Sequence[Segment], wanted: NDArray[np.int64]) -> Masks:
    """The masks that let the rows of these documents pass alone, int64 (n,), ascending."""
    return tuple(_only(segment.documents, wanted) for segment in segments)


def without_rows(
    segments: Sequence[Segment], masks: Sequence[DocumentMask | None], rows: Sequence[int]
) -> Masks:
    """The masks without these rows; None lets all pass."""
    gone = np.array(sorted(rows), dtype=np.int64)
    return tuple(
        living(segment.sequence, gone, mask) or DocumentMask(np.ones(len(segment), np.uint8))
        for segment, mask in zip(segments, masks, strict=True)
    )


def passing_documents(
    segments: Sequence[Segment], masks: Sequence[DocumentMask | None]
) -> list[NDArray[np.bool_]]:
    """The documents of each segment that masks let pass, bool (n_documents,)."""
    return [
        np.ones(len(segment.numbers), dtype=np.bool_)
        if mask is None
        else segment.of_documents(mask.allowed != 0)
        for segment, mask in zip(segments, masks, strict=True)
    ]


def _living(passing: NDArray[np.bool_], alive: DocumentMask | None) -> DocumentMask:
    return DocumentMask((passing if alive is None else passing & (alive.allowed != 0)).view("u1"))


def _only(documents: NDArray[np.int64], wanted: NDArray[np.int64]) -> DocumentMask:
    """The mask of the rows that are of these documents; both ascend."""
    allowed = np.zeros(len(documents) + 1, np.int8)
    np.add.at(allowed, np.searchsorted(documents, wanted, "left"), 1)
    np.subtract.at(allowed, np.searchsorted(documents, wanted, "right"), 1)
    return DocumentMask(np.cumsum(allowed[:-1], dtype=np.int8).view(np.uint8))
