"""What filters let pass of the segments of a collection."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import ReferenceType, ref

import numpy as np
from numpy.typing import NDArray

from index.collection.recent import Recent
from index.collection.segment import Segment
from index.collection.store import Store
from index.filters.tree import Filter

# Bytes kept for all segments together.
CAPACITY = 64 << 20
OVERHEAD = 1024


class FilterMasks:
    """What filters let pass, kept for filters that come again.

    That never changes for a segment, since a sequence number stands for one version of a document.
    What has died has no metadata any more, though, so it serves the views from its own revision on,
    where the dead are masked. Segments are not kept alive. Safe to use from several threads.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._segments: Recent[
            tuple[ReferenceType[Segment], Filter], tuple[int, NDArray[np.bool_]]
        ] = Recent(CAPACITY)

    def passing(
        self, segments: Sequence[Segment], revision: int, wanted: Filter
    ) -> list[NDArray[np.bool_]]:
        """bool (n_documents,) of each segment of a view; those not known yet take one query.

        To be called while the view is pinned, so that the store is of that revision.

        Raises:
            InputError: the filter is too deep or too large.
        """
        keys = [(ref(segment), wanted) for segment in segments]
        known: list[NDArray[np.bool_] | None] = []
        for key in keys:
            since, found = self._segments.get(key) or (0, None)
            known.append(found if since <= revision else None)
        new = [place for place, found in enumerate(known) if found is None]
        if new:
            sequence = np.concatenate([segments[place].documents for place in new])
            ends = np.cumsum([len(segments[place]) for place in new])[:-1]
            passing = self._store.matching(wanted, sequence)
            for place, part in zip(new, np.split(passing, ends), strict=True):
                known[place] = part
                self._segments.put(keys[place], (revision, part), size_of(wanted, len(part)))
        return [part for part in known if part is not None]


def size_of(wanted: Filter, mask: int) -> int:
    """Bytes that an entry takes, roughly: a filter on long lists is larger than a small mask."""
    return OVERHEAD + 2 * len(repr(wanted)) + mask
