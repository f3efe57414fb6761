"""Filters over the states of a collection, as masks that engines take."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np
from numpy.typing import NDArray

from index.collection.recent import Recent
from index.engines.document_mask import DocumentMask, Masks
from index.filters.tree import Filter

if TYPE_CHECKING:
    from index.collection.segment import Segment
    from index.collection.store import Store
    from index.collection.view import View

# Bytes kept for all segments together, and for each view (of which there is hardly ever another).
CAPACITY = 64 << 20
OVERHEAD = 1024


class FilterMasks:
    """The masks of one collection, kept for filters that come again.

    What a filter lets pass of a segment never changes, since a sequence number stands for one
    version of a document. What has died has no metadata any more, though, so it serves the views
    from its own revision on, where the dead are masked; joined with the deletes it is kept as long
    as the view. Safe to use from several threads.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._views: WeakKeyDictionary[View, Recent[Filter, Masks]] = WeakKeyDictionary()
        self._segments: Recent[
            tuple[ReferenceType[Segment], Filter], tuple[int, NDArray[np.bool_]]
        ] = Recent(CAPACITY)

    def of(self, view: View, wanted: Filter) -> Masks:
        """For each segment of a view, which documents live and pass the filter.

        To be called while the view is pinned, so that the store is of the same moment.

        Raises:
            InputError: the filter is too deep or too large.
        """
        kept = self._views.setdefault(view, Recent(CAPACITY))
        masks = kept.get(wanted)
        if masks is None:
            passing = self._passing(view, wanted)
            masks = tuple(
                DocumentMask((found if alive is None else found & (alive.allowed != 0)).view("u1"))
                for found, alive in zip(passing, view.alive, strict=True)
            )
            kept.put(wanted, masks, _size(wanted, sum(len(mask.allowed) for mask in masks)))
        return masks

    def _passing(self, view: View, wanted: Filter) -> list[NDArray[np.bool_]]:
        """bool (n_documents,) of each segment; those not known yet take one query together."""
        segments = view.segments
        keys = [(ref(segment), wanted) for segment in segments]
        known: list[NDArray[np.bool_] | None] = []
        for key in keys:
            revision, found = self._segments.get(key) or (0, None)
            known.append(found if revision <= view.revision else None)
        new = [place for place, found in enumerate(known) if found is None]
        if new:
            sequence = np.concatenate([segments[place].sequence for place in new])
            ends = np.cumsum([len(segments[place]) for place in new])[:-1]
            passing = self._store.matching(wanted, sequence)
            for place, part in zip(new, np.split(passing, ends), strict=True):
                known[place] = part
                self._segments.put(keys[place], (view.revision, part), _size(wanted, len(part)))
        return [part for part in known if part is not None]


def _size(wanted: Filter, mask: int) -> int:
    """Bytes that an entry takes, roughly: a filter on long lists is larger than a small mask."""
    return OVERHEAD + 2 * len(repr(wanted)) + mask
