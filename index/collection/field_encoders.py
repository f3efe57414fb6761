"""The fields of a collection with their encoders, each loaded once a process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from index.collection.field import Field, check_encoder, check_vocabulary
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder, is_concatenated
from lsr.encoders.encoder import SparseEncoder
from lsr.encoders.imported import IMPORTED, ImportedEncoder
from lsr.encoders.open_vocabulary import OpenVocabularyEncoder
from lsr.encoding.query_batches import QueryBatches
from lsr.errors import UsageError
from lsr.trusted_code import NO_CODE, TrustedCode
from lsr.vocabulary import Vocabulary


class Words(Protocol):
    """The words of open fields."""

    def all(self) -> Sequence[str]:
        """Every word, by its number."""
        ...


class FieldStore(Protocol):
    """Where fields are stored."""

    @property
    def name(self) -> str:
        """Of the collection that has them."""
        ...

    @property
    def fields(self) -> list[Field]:
        """In the order in which the collection was created with them."""
        ...

    @property
    def dictionary(self) -> Words:
        """The words of open fields."""
        ...

    def tokens(self) -> list[str]:
        """The tokens of the vocabulary of imported vectors."""
        ...


class FieldEncoders:
    """The fields, in the order in which the collection was created with them, and their encoders.

    What gives an encoder raises EncoderMismatchError where it is not the one that filled the field,
    and UsageError where it runs Python code that is not ``trusted``.
    """

    def __init__(self, store: FieldStore, trusted: TrustedCode = NO_CODE) -> None:
        self._store = store
        self.trusted = trusted
        self.batches: QueryBatches | None = None
        """What encodes the queries of many searches together; None: each encodes its own."""
        self._last_imported: ImportedEncoder | None = None

    def __iter__(self) -> Iterator[Field]:
        return iter(self._store.fields)

    def __getitem__(self, place: int) -> Field:
        return self._store.fields[place]

    @property
    def collection(self) -> str:
        """Name of the collection that has the fields."""
        return self._store.name

    @property
    def inference_free(self) -> bool:
        """Whether queries to every field are encoded without a model."""
        return all(
            field.kind == "sparse" and self.encoder(field).inference_free
            for field in self
            if field.encoder != IMPORTED
        )

    @property
    def counts(self) -> Field | None:
        """The field that stores term counts, where there is one."""
        return next((field for field in self if field.counts), None)

    @property
    def counted(self) -> Field | None:
        """The field whose terms are counted in texts, where there is one."""
        return next((field for field in self if field.counted), None)

    def named(self, name: str) -> Field:
        """The field of that name; raises UsageError where there is none."""
        for field in self:
            if field.name == name:
                return field
        raise UsageError(
            f"the collection {self.collection!r} has no {name!r} field; "
            f"it has {', '.join(field.name for field in self)}"
        )

    def encoder(self, field: Field) -> SparseEncoder:
        """The encoder of a sparse field."""
        imported = field.encoder == IMPORTED
        encoder = (
            self._imported(field) if imported else _sparse_encoder(field.encoder, self.trusted)
        )
        check_encoder(field, encoder.fingerprint)
        return encoder

    def vocabulary(self, field: Field) -> Vocabulary:
        """What the vectors of a sparse field are over by now."""
        words = self._store.dictionary.all() if field.open else ()
        return self.encoder(field).vocabulary.extended(words)

    def dense_encoder(self, field: Field, weight: float | None = None) -> DenseEncoder:
        """The encoder of a dense field; the second of two models may get another ``weight``.

        Raises:
            UsageError: there is a weight, and it is one model.
        """
        encoder = _dense_encoder(field.encoder)
        if field.fingerprint not in encoder.former:
            check_encoder(field, encoder.fingerprint)
        return encoder if weight is None else encoder.weighed(weight)

    def as_queries(
        self, field: Field, vectors: NDArray[np.float32], weight: float | None = None
    ) -> NDArray[np.float32]:
        """Vectors of a dense field, float32 (n, dimension), in the scale of those of queries.

        ``weight`` as for ``dense_encoder``. One model is not asked for, and need not be there.
        """
        if not is_concatenated(field.encoder):
            return vectors
        return self.dense_encoder(field, weight).as_queries(vectors)

    def query_encoder(self, field: Field, name: str) -> SparseEncoder:
        """The encoder of that name, for queries to a sparse field.

        Raises:
            EncoderMismatchError: its vocabulary is not the field's.
            NotFoundError: there is no such encoder.
        """
        own = self.encoder(field)
        encoder = _sparse_encoder(name, self.trusted)
        if isinstance(encoder, OpenVocabularyEncoder) and not field.open:
            encoder = encoder.inner
        check_vocabulary(field, own.vocabulary, encoder)
        return encoder

    def _imported(self, field: Field) -> SparseEncoder:
        """That of a field whose vocabulary grows: tokens are only ever added behind the others."""
        encoder = self._last_imported
        if encoder is None or encoder.fingerprint != field.fingerprint:
            tokens = self._store.tokens()[: field.size]
            encoder = self._last_imported = ImportedEncoder(Vocabulary.from_tokens(tokens))
        return encoder


@lru_cache(maxsize=8)
def _sparse_encoder(name: str, trusted: TrustedCode) -> SparseEncoder:
    return load_encoder(name, trusted)


@lru_cache(maxsize=8)
def _dense_encoder(name: str) -> DenseEncoder:
    return DenseEncoder.load(name)
