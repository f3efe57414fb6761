"""What a training must keep of an encoder: how many terms it gives, and how its scores range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lsr.encoders.encoder import SparseEncoder
from lsr.encoders.term_counts import collection_statistics

# Documents that are looked at, and candidates among which a query is scored.
LOOKED_AT, CANDIDATES = 512, 32


@dataclass(frozen=True)
class EncoderScale:
    """Of an encoder on training texts.

    ``nnz`` is the mean number of terms of a document; ``range`` the mean difference of the highest
    and the lowest score of a query among some documents, its own included.
    """

    nnz: float
    range: float

    @classmethod
    def of(
        cls, encoder: SparseEncoder, queries: Sequence[str], documents: Sequence[str]
    ) -> EncoderScale:
        """By the first texts; query i is answered by document i."""
        queries, documents = queries[:LOOKED_AT], documents[:LOOKED_AT]
        stored = encoder.encode_documents(documents)
        statistics = collection_statistics(encoder, documents, stored)
        asked = encoder.encode_queries(queries, statistics).to_scipy()
        rows = encoder.impacts(stored, statistics).to_scipy()
        ranges = [
            np.ptp(
                (asked[start : start + CANDIDATES] @ rows[start : start + CANDIDATES].T).toarray(),
                axis=1,
            )
            for start in range(0, len(queries), CANDIDATES)
        ]
        return cls(float(np.diff(stored.indptr).mean()), float(np.concatenate(ranges).mean()))
