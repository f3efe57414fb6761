"""Queries, and the vectors that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from index.collection.field import Field
from index.collection.view import View
from lsr.corpus.documents import check_unicode
from lsr.encoders.encoder import SparseEncoder
from lsr.errors import InputError, UsageError
from lsr.sparse import SparseBatch, SparseVector
from lsr.statistics import CollectionStatistics

LONGEST_QUERY = 1 << 20
EncodedQuery = SparseVector | NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is asked: text, or vectors for the fields that are searched, or both.

    ``tokens`` maps spellings of the vocabulary to weights; ``sparse`` is indices and values;
    ``dense`` is one vector. A given vector takes the place of encoding the text.
    """

    text: str | None = None
    tokens: Mapping[str, float] | None = None
    sparse: tuple[Sequence[int], Sequence[float]] | None = None
    dense: Sequence[float] | None = None


def encode_query(
    view: View,
    field: Field,
    queries: Sequence[SearchQuery],
    encoder: SparseEncoder | None = None,
) -> SparseBatch | NDArray[np.float32]:
    """A row of one field for each query, from its given vector or its text.

    ``encoder`` encodes the text for a sparse field, whose vocabulary it has; None: the field's own.

    Returns:
        A SparseBatch, or float32 (n_queries, dimension) for a dense field.

    Raises:
        InputError: a query is empty or malformed.
        UsageError: a query has neither text nor what the field needs in its place.
        EncoderMismatchError: the encoder of the field is not the one that filled it.
    """
    if field.kind == "dense":
        return _encode_dense(view, field, queries)
    model = view.fields.encoder(field) if encoder is None else encoder
    statistics = _statistics(view, field, model)
    given = [_given_sparse(query, view, field) for query in queries]
    texts = [_text(query, field) for query, row in zip(queries, given, strict=True) if row is None]
    encoded = iter(model.encode_queries(texts, statistics) if texts else ())
    rows = [next(encoded) if row is None else row for row in given]
    return SparseBatch.from_rows(rows, view.terms(field))


def _statistics(view: View, field: Field, encoder: SparseEncoder) -> CollectionStatistics | None:
    """Statistics of an encoder's terms, where it uses some and the collection counts them.

    Where only a field's words are counted, another field may count its other terms.

    Raises:
        UsageError: it needs them, and the collection doesn't count its terms.
    """
    if not encoder.uses_statistics:
        return None
    if encoder.open and field.counts:
        return view.statistics(field)
    counts, vocabulary = view.fields.counts, encoder.vocabulary.digest
    counted = counts is not None and (counts.vocabulary or vocabulary) == vocabulary
    closed = view.statistics(counts) if counts is not None and counted else None
    if encoder.open:
        words = view.statistics(field)
        frequency = words.document_frequency.copy()
        frequency[: field.size] = 0 if closed is None else closed.document_frequency[: field.size]
        return replace(words, document_frequency=frequency)
    if closed is not None:
        return closed
    if not encoder.needs_statistics:
        return None
    raise UsageError(
        f"the query encoder {encoder.name} takes its IDF from counts of terms, which this "
        "collection doesn't have; index into a new directory with --bm25, or give a query "
        "encoder with an IDF table of its own"
    )


def _encode_dense(view: View, field: Field, queries: Sequence[SearchQuery]) -> NDArray[np.float32]:
    vectors = np.zeros((len(queries), field.size), dtype=np.float32)
    places = [place for place, query in enumerate(queries) if query.dense is None]
    texts = [_text(queries[place], field) for place in places]
    if texts:
        vectors[places] = view.fields.dense_encoder(field).encode_queries(texts)
    for place, query in enumerate(queries):
        if query.dense is not None:
            vectors[place] = _given_dense(query.dense, field)
    return vectors


def _given_sparse(query: SearchQuery, view: View, field: Field) -> SparseVector | None:
    if query.tokens is not None and query.sparse is not None:
        raise InputError("the query has both tokens and a sparse vector; give one of them")
    if query.tokens is not None:
        terms = _terms(view, field, list(query.tokens))
        return SparseVector.from_user(terms, list(query.tokens.values()), view.terms(field))
    if query.sparse is not None:
        return SparseVector.from_user(*query.sparse, vocabulary_size=view.terms(field))
    return None


def _terms(view: View, field: Field, tokens: Sequence[str]) -> list[int]:
    vocabulary = view.fields.encoder(field).vocabulary
    words = view.store.numbers(field, tokens)
    return [words[token] if token in words else vocabulary.term(token) for token in tokens]


def _given_dense(values: Sequence[float], field: Field) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        vector = np.asarray(values, dtype=np.float64).astype(np.float32)
    if vector.shape != (field.size,):
        raise InputError(
            f"the dense query has {len(values)} values; the field {field.name!r} has {field.size}"
        )
    if not np.isfinite(vector).all():
        raise InputError("the dense query holds a value that is not finite; give finite numbers")
    return vector


def _text(query: SearchQuery, field: Field) -> str:
    if query.text is None:
        wanted = "dense" if field.kind == "dense" else "tokens or sparse"
        raise UsageError(
            f"searching the field {field.name!r} needs the query's text, or {wanted} in its place"
        )
    if not query.text.strip():
        raise InputError("the query is empty; give at least one word")
    if len(query.text) > LONGEST_QUERY:
        raise InputError(f"the query is longer than {LONGEST_QUERY} characters; shorten it")
    return check_unicode(query.text, "query")
