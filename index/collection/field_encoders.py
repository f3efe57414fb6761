"""The encoders of a collection's fields, each loaded once a process."""

from __future__ import annotations

from functools import cached_property, lru_cache

from index.collection.field import Field, check_encoder, check_vocabulary
from index.collection.store import Store
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.encoders.encoder import SparseEncoder
from lsr.encoders.imported import IMPORTED, ImportedEncoder
from lsr.vocabulary import Vocabulary


class FieldEncoders:
    """Encoders by field.

    Every method raises EncoderMismatchError where an encoder is not the one that filled the field.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def sparse(self, field: Field) -> SparseEncoder:
        """The encoder of a sparse field."""
        imported = field.encoder == IMPORTED
        encoder = self._imported if imported else _sparse_encoder(field.encoder)
        check_encoder(field, encoder.fingerprint)
        return encoder

    def dense(self, field: Field) -> DenseEncoder:
        """The encoder of a dense field."""
        encoder = _dense_encoder(field.encoder)
        check_encoder(field, encoder.fingerprint)
        return encoder

    def of_queries(self, field: Field, name: str | None) -> SparseEncoder:
        """The encoder of that name for queries to a sparse field; None: the field's own.

        Raises:
            EncoderMismatchError: its vocabulary is not the field's.
            NotFoundError: there is no such encoder.
        """
        own = self.sparse(field)
        if name is None:
            return own
        encoder = _sparse_encoder(name)
        check_vocabulary(field, own.vocabulary, encoder)
        return encoder

    @cached_property
    def _imported(self) -> SparseEncoder:
        return ImportedEncoder(Vocabulary.from_tokens(self._store.tokens()))


@lru_cache(maxsize=8)
def _sparse_encoder(name: str) -> SparseEncoder:
    return load_encoder(name)


@lru_cache(maxsize=8)
def _dense_encoder(name: str) -> DenseEncoder:
    return DenseEncoder.load(name)
