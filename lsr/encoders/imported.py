"""Vectors that were encoded elsewhere, by an encoder that is not at hand."""

from __future__ import annotations

from collections.abc import Sequence

from lsr.encoders.encoder import SparseEncoder, fingerprint
from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary

IMPORTED = "imported"


class ImportedEncoder(SparseEncoder):
    """The vocabulary of imported vectors; it encodes nothing.

    The vocabulary is kept by the collection, so no name loads this encoder.
    """

    name = IMPORTED

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.fingerprint = fingerprint(IMPORTED, vocabulary=vocabulary.digest)

    def encode_documents(self, texts: Sequence[str]) -> SparseBatch:
        """Raises UsageError."""
        raise UsageError(
            "the vectors of this collection were imported without an encoder, so no text can be "
            "indexed into it; add vectors with lsr import, or import again with --encoder NAME"
        )

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        """Raises UsageError."""
        raise UsageError(
            "the vectors of this collection were imported without an encoder, so it can't be "
            "searched by text; give tokens and weights (lsr search --tokens, or "
            '{"query": {"tokens": ...}} over REST), or import again with --encoder NAME'
        )
