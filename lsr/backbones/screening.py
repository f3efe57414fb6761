"""The vocabulary projection in the native core, without torch."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from lsr._core import Projection
from lsr.sparse import SparseBatch


class ScreenedProjection:
    """Largest logit of each term over each document, computing few logits in float.

    An 8-bit screen leaves out what can't reach the floor, with the same result. Its integers are
    centred on the first states that come.

    Args:
        weight: float32 (terms, width), finite.
        bias: float32 (terms,), finite, or None.
    """

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> None:
        self._weight = weight
        self._bias = bias
        self._lock = threading.Lock()
        self._native: Projection | None = None

    def largest(
        self, states: NDArray[np.float32], offsets: NDArray[np.int64], floor: float = 0.0
    ) -> SparseBatch:
        """Largest logit of each term over the positions of each document, where above ``floor``.

        ``states`` is float32 (tokens, width); document d owns the rows ``offsets[d]`` to
        ``offsets[d + 1]``, int64 (documents + 1,), at least one. A document with states that are
        not finite has a weight that is not a number.
        """
        return self.winners(states, offsets, floor)[0]

    def winners(
        self, states: NDArray[np.float32], offsets: NDArray[np.int64], floor: float = 0.0
    ) -> tuple[SparseBatch, NDArray[np.int64]]:
        """``largest``, and of each weight the row of ``states`` that gives it, the first of equals.

        The rows are int64 (nnz,).
        """
        with self._lock:
            if self._native is None:
                center = np.nan_to_num(states.mean(axis=0), nan=0, posinf=0, neginf=0)
                self._native = Projection(self._weight, self._bias, center)
        found = self._native.largest(states, offsets, floor)
        return SparseBatch(*found[:3], len(self._weight)), found[4]
