"""The frequencies of terms in texts, kept in step with the documents.

An encoder may weigh queries by the IDF of its closed vocabulary. What that takes is counted in the
texts themselves, so that no field of counts is stored and indexed for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from index.collection.field import Field
from index.collection.field_encoders import FieldEncoders
from index.collection.store import Store
from lsr.corpus.documents import Document
from lsr.corpus.passages import Passage, contents
from lsr.encoders.term_counts import count_terms

DOCUMENTS_AT_A_TIME = 1000


class TextFrequencies:
    """Writes the store's table of frequencies, where it has a field whose terms are counted.

    Frequencies are int64 (V,), of rows of vectors: a passage counts for itself.

    Args:
        store: the documents.
        fields: those of the collection.
    """

    def __init__(self, store: Store, fields: FieldEncoders) -> None:
        self._store = store
        self._fields = fields

    def of(
        self, documents: Sequence[Document], passages: Sequence[Sequence[Passage]] = ()
    ) -> NDArray[np.int64] | None:
        """Those of some documents; ``passages`` as of ``Collection.upsert``. None without field."""
        field = self._fields.counted
        if field is None:
            return None
        split = [parts if len(parts) > 1 else () for parts in passages]
        texts = contents(documents, split)
        return count_terms(self._fields.encoder(field).vocabulary, texts).document_frequency()

    @contextmanager
    def replacing(
        self, ids: Sequence[str], added: NDArray[np.int64] | None = None
    ) -> Iterator[None]:
        """While the store is written: documents are removed inside, and others appended.

        Args:
            ids: of the documents to remove, as far as they are there.
            added: what ``of`` gave of the others.
        """
        field = self._fields.counted
        if field is None:
            yield
            return
        gone, whole = self._stored(field, list(self._store.sequences(ids).values()))
        yield
        if whole:
            self._store.frequencies.add((0 if added is None else added) - gone)
        else:
            self.recount()

    def recount(self) -> None:
        """Count in all documents that are sound; while the store is written."""
        field = self._fields.counted
        if field is None:
            return
        total = np.zeros(field.size, dtype=np.int64)
        live = self._store.live().tolist()
        for start in range(0, len(live), DOCUMENTS_AT_A_TIME):
            total += self._stored(field, live[start : start + DOCUMENTS_AT_A_TIME])[0]
        self._store.frequencies.replace(total)

    def _stored(self, field: Field, numbers: Sequence[int]) -> tuple[NDArray[np.int64], bool]:
        """Those of documents of the store, and whether all of them can be read."""
        if not numbers:
            return np.zeros(field.size, dtype=np.int64), True
        sizes = self._store.passages.sizes(numbers)
        documents, passages = self._store.sound_documents(numbers), self._store.passages.of(numbers)
        split = [passages.get(number, []) for number in documents]
        counts = count_terms(
            self._fields.encoder(field).vocabulary, contents([*documents.values()], split)
        )
        found = sum(max(len(parts), 1) for parts in split)
        return counts.document_frequency(), found == sum(sizes.values()) and 0 not in sizes.values()
