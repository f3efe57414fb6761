"""Texts as the sparse vectors that a field of a collection makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from index.collection.field import Field
from index.collection.view import Searchable, View
from index.search.query import SearchQuery, encode_query
from lsr.corpus.documents import check_unicode
from lsr.encoders.encoder import SparseEncoder
from lsr.encoders.word_counts import known_words
from lsr.errors import InputError, UsageError
from lsr.sparse import SparseBatch


@dataclass(frozen=True, slots=True)
class Embedded:
    """A row of weights for each text, and how the terms in them are spelled."""

    rows: SparseBatch
    tokens: dict[int, str]


def embed_texts(
    collection: Searchable,
    texts: Sequence[str],
    as_queries: bool = False,
    using: str | None = None,
    cut: bool = False,
) -> Embedded:
    """The vectors of texts in a sparse field, in their order.

    Those of queries are what is searched with, those of documents the weights that are scored:
    the score of a document is their product. A word that no document of the collection has yet has
    no number, and is left out.

    Args:
        collection: whose encoder and statistics are used.
        texts: what is encoded.
        as_queries: as queries and not as documents.
        using: the sparse field; None: the first.
        cut: whether texts may be longer than what the encoder reads.

    Raises:
        InputError: a text is empty, malformed, or too long.
        UsageError: there is no such field, or it is dense.
    """
    with collection.pinned() as view:
        field = _field(view, using)
        encoder = view.fields.encoder(field)
        _check(encoder, texts, cut)
        rows = (
            encode_query(view, field, [SearchQuery(text) for text in texts])
            if as_queries
            else _documents(view, field, encoder, texts)
        )
        assert isinstance(rows, SparseBatch)
        return Embedded(rows, view.tokens(field, sorted(set(rows.indices.tolist()))))


def _field(view: View, using: str | None) -> Field:
    if using is None:
        return next(field for field in view.fields if field.kind == "sparse")
    field = view.fields.named(using)
    if field.kind != "sparse":
        raise UsageError(f"the field {using!r} is dense; name a sparse one, or none for the first")
    return field


def _check(encoder: SparseEncoder, texts: Sequence[str], cut: bool) -> None:
    for place, text in enumerate(texts, 1):
        if not text.strip():
            raise InputError(f"the text number {place} is empty; give at least one word")
        check_unicode(text, f"text number {place}")
    if not cut and (longer := encoder.cuts(texts)).any():
        raise InputError(
            f"the text number {int(longer.argmax()) + 1} is longer than what the encoder reads; "
            "shorten it, or have it cut with truncate"
        )


def _documents(
    view: View, field: Field, encoder: SparseEncoder, texts: Sequence[str]
) -> SparseBatch:
    stored = encoder.encode_documents(texts)
    stored = known_words(stored, lambda words: view.store.dictionary.numbers(field, list(words)))
    return encoder.impacts(stored, view.statistics(field)) if field.weighed else stored
