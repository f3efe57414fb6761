"""Late scoring by a second encoder: the inner product of a query and a text, encoded each alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.dense import DenseEncoder
from lsr.encoders.encoder import SparseEncoder, fingerprint
from lsr.encoders.open_vocabulary import OpenVocabularyEncoder
from lsr.errors import UsageError
from lsr.rerankers.reranker import Reranker, Scorer

SPARSE, DENSE = "sparse", "dense"


class SparseReranker(Reranker):
    """A sparse encoder of texts, such as a SPLADE model over the candidates of another.

    Its words, where its vocabulary is open, are left out: they would need the collection's
    statistics.

    Raises:
        UsageError: its weights need statistics of a collection.
    """

    def __init__(self, encoder: SparseEncoder) -> None:
        self.name = f"{SPARSE}:{encoder.name}"
        if isinstance(encoder, OpenVocabularyEncoder):
            encoder = encoder.inner
        if encoder.needs_statistics or encoder.stores_counts:
            raise UsageError(
                f"{encoder.name} weighs terms by the statistics of a collection, so it can't score "
                "texts alone; give a field of the collection that has them, as field:bm25"
            )
        self.fingerprint = fingerprint("sparse-reranker", encoder=encoder.fingerprint)
        self._encoder = encoder

    def load(self) -> None:
        """See ``Reranker``."""
        self.scorer("a")(["a"])

    def scorer(self, query: str) -> Scorer:
        """See ``Reranker``."""
        asked = self._encoder.encode_queries([query]).to_scipy()

        def score(texts: Sequence[str]) -> NDArray[np.float32]:
            weights = self._encoder.encode_documents(texts).to_scipy()
            scores: NDArray[np.float32] = (weights @ asked.T).toarray()[:, 0]
            return scores.astype(np.float32)

        return score


class DenseReranker(Reranker):
    """A dense encoder of texts."""

    def __init__(self, encoder: DenseEncoder) -> None:
        self.name = f"{DENSE}:{encoder.name}"
        self.fingerprint = fingerprint("dense-reranker", encoder=encoder.fingerprint)
        self._encoder = encoder

    def load(self) -> None:
        """See ``Reranker``."""
        self._encoder.encode_queries(["a"])

    def scorer(self, query: str) -> Scorer:
        """See ``Reranker``."""
        asked = self._encoder.encode_queries([query])[0]

        def score(texts: Sequence[str]) -> NDArray[np.float32]:
            scores: NDArray[np.float32] = self._encoder.encode_documents(texts) @ asked
            return scores

        return score
