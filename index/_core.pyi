"""Native scoring of sparse queries over posting lists."""

import numpy as np
from numpy.typing import NDArray

class ExhaustiveIndex:
    """Posting lists over arrays that stay alive with this object.

    ``offsets`` int64 (vocabulary + 1,), ``documents`` uint32 (postings,), ``weights`` the bits of
    float16 as uint16 (postings,). Raises ValueError where they are not well formed.
    """

    def __init__(
        self,
        offsets: NDArray[np.int64],
        documents: NDArray[np.uint32],
        weights: NDArray[np.uint16],
        document_count: int,
    ) -> None: ...
    def search(
        self,
        indptr: NDArray[np.int64],
        terms: NDArray[np.int32],
        weights: NDArray[np.float32],
        k: int,
        alive: NDArray[np.uint8] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ordinals int64 and scores float32, both (queries, min(k, documents)).

        Missing results are -1 and 0.
        """
