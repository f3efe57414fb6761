"""Which documents of a segment may be returned: what deletes and filters leave."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class DocumentMask:
    """Immutable; ``allowed`` uint8 (n_documents,) is non-zero where a document may be returned.

    An engine that wants another form of it (bits, another order) keeps that here, so that a mask
    used for many queries is prepared once.
    """

    def __init__(self, allowed: NDArray[np.uint8]) -> None:
        self.allowed = allowed
        self._prepared: dict[int, tuple[object, Any]] = {}

    @cached_property
    def count(self) -> int:
        """Number of documents that may be returned."""
        return int(np.count_nonzero(self.allowed))

    def prepared(self, owner: object, prepare: Callable[[NDArray[np.uint8]], T]) -> T:
        """The mask in the form of one engine, which ``owner`` stands for."""
        kept = self._prepared.get(id(owner))
        if kept is None or kept[0] is not owner:
            kept = self._prepared[id(owner)] = (owner, prepare(self.allowed))
        return cast(T, kept[1])


def living(
    sequence: NDArray[np.int64], dead: NDArray[np.int64], alive: DocumentMask | None = None
) -> DocumentMask | None:
    """The mask ``alive`` (None: all) of documents ``sequence`` less the dead ones.

    The same object where none of them has died, so that what engines prepared of it is kept.
    """
    places = np.searchsorted(sequence, dead)
    places = places[places < len(sequence)]
    places = places[np.isin(sequence[places], dead)]
    if len(places) == 0:
        return alive
    allowed = np.ones(len(sequence), np.uint8) if alive is None else alive.allowed.copy()
    if not allowed[places].any():
        return alive
    allowed[places] = 0
    return DocumentMask(allowed)


Masks = tuple[DocumentMask, ...]
