"""What a re-ranker is: the protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# float32 (n,), the score of each of n texts for one query, the higher the better.
Scorer = Callable[[Sequence[str]], NDArray[np.float32]]


class Reranker(Protocol):
    """Scores texts for a query, the higher the better; any score is finite, in any range.

    ``name`` loads the same re-ranker again; ``fingerprint`` changes with anything that changes a
    score and not with where the checkpoint lies.
    """

    name: str
    fingerprint: str

    def load(self) -> None:
        """Read the weights now, which else happens with the first score.

        Raises:
            InputError: the checkpoint can't be used as such a re-ranker.
        """
        ...

    def scorer(self, query: str) -> Scorer:
        """What scores texts for this query; it may be called with some of them at a time.

        A text's score doesn't depend on what else is scored with it, but for rounding.
        """
        ...
