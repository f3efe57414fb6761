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
from lsr.encoders.imported import IMPORTED
from lsr.errors import InputError, UsageError
from lsr.sparse import LARGEST_WEIGHT, SparseBatch, SparseVector
from lsr.statistics import CollectionStatistics

LONGEST_QUERY = 1 << 20
# Of the weights of a query together: scores, and the bounds that lie a little above, are float32.
LARGEST_SUM = float(np.finfo(np.float32).max) / (4 * LARGEST_WEIGHT)
EncodedQuery = SparseVector | NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is asked: text, or vectors for the fields that are searched, or both.

    ``tokens`` maps spellings of the vocabulary to weights; ``sparse`` is indices and values;
    ``dense`` is one vector. A given vector takes the place of encoding the text. ``like`` is the id
    of a document, or the ids of several, whose stored vectors are asked with, and which are left
    out of the answer; it stands alone.
    """

    text: str | None = None
    tokens: Mapping[str, float] | None = None
    sparse: tuple[Sequence[int], Sequence[float]] | None = None
    dense: Sequence[float] | None = None
    like: str | Sequence[str] | None = None


def encode_query(
    view: View,
    field: Field,
    queries: Sequence[SearchQuery],
    encoder: SparseEncoder | None = None,
    dense_weight: float | None = None,
) -> SparseBatch | NDArray[np.float32]:
    """A row of one field for each query, from its given vector or its text.

    ``encoder`` encodes the text for a sparse field, whose vocabulary it has; None: the field's own.
    ``dense_weight`` is what the second of two models of a dense field counts; None: its own.

    Returns:
        A SparseBatch, or float32 (n_queries, dimension) for a dense field.

    Raises:
        InputError: a query is empty or malformed.
        UsageError: a query has neither text nor what the field needs in its place, or a given
            dense vector comes with a dense weight.
        EncoderMismatchError: the encoder of the field is not the one that filled it.
    """
    if field.kind == "dense":
        return _encode_dense(view, field, queries, dense_weight)
    model = view.fields.encoder(field) if encoder is None else encoder
    statistics = _statistics(view, field, model)
    given = [_given_sparse(query, view, field) for query in queries]
    texts = [_text(query, field) for query, row in zip(queries, given, strict=True) if row is None]
    if len(texts) == len(queries):
        return replace(model.encode_queries(texts, statistics), vocabulary_size=view.terms(field))
    encoded = iter(model.encode_queries(texts, statistics) if texts else ())
    rows = [next(encoded) if row is None else row for row in given]
    return SparseBatch.from_rows(rows, view.terms(field))


def unknown_words(view: View, fields: Sequence[Field], query: SearchQuery) -> list[str]:
    """The words of a query's text that no document has in those fields that have words."""
    unknown: dict[str, None] | None = None
    for field in fields:
        if query.text is None or not field.weighed or not field.open:
            continue
        statistics = view.statistics(field)
        found = view.fields.encoder(field).unknown_words(query.text, statistics)
        unknown = {word: None for word in found if unknown is None or word in unknown}
    return list(unknown or ())


def _statistics(view: View, field: Field, encoder: SparseEncoder) -> CollectionStatistics | None:
    """Statistics of an encoder's terms, where it uses some and the collection counts them.

    Raises:
        UsageError: it needs them, and the collection doesn't count its terms.
    """
    if not encoder.uses_statistics:
        return None
    if encoder.open and field.counts:
        return view.statistics(field)
    closed = _closed_statistics(view, encoder.vocabulary.digest)
    if encoder.open:
        return replace(view.statistics(field), closed=closed)
    if closed is not None:
        return closed
    if not encoder.needs_statistics:
        return None
    raise UsageError(
        f"the query encoder {encoder.name} takes its IDF from counts of terms, which this "
        "collection doesn't have; index into a new directory with --bm25, or give a query "
        "encoder with an IDF table of its own"
    )


def _closed_statistics(view: View, vocabulary: str) -> CollectionStatistics | None:
    """Those of the terms of a closed vocabulary: of a field of counts, or counted in texts."""
    counts, counted = view.fields.counts, view.fields.counted
    if counts is not None and (counts.vocabulary or vocabulary) == vocabulary:
        return view.statistics(counts)
    if counted is not None and counted.vocabulary == vocabulary:
        return view.text_statistics(counted)
    return None


def _encode_dense(
    view: View, field: Field, queries: Sequence[SearchQuery], weight: float | None
) -> NDArray[np.float32]:
    if weight is not None and any(query.dense is not None for query in queries):
        raise UsageError(
            "a dense weight is of the vector that a text becomes, and the query brings its own, or "
            "that of a passage by rewriting; leave the dense weight out"
        )
    vectors = np.zeros((len(queries), field.size), dtype=np.float32)
    places = [place for place, query in enumerate(queries) if query.dense is None]
    texts = [_text(queries[place], field) for place in places]
    if texts:
        vectors[places] = view.fields.dense_encoder(field, weight).encode_queries(texts)
    for place, query in enumerate(queries):
        if query.dense is not None:
            vectors[place] = _given_dense(query.dense, field)
    return vectors


def _given_sparse(query: SearchQuery, view: View, field: Field) -> SparseVector | None:
    if query.tokens is not None and query.sparse is not None:
        raise InputError("the query has both tokens and a sparse vector; give one of them")
    if query.tokens is not None:
        unknown = unknown_tokens(view, field, query)
        # Of these too, weights must be such as are allowed.
        weights = [query.tokens[token] for token in unknown]
        SparseVector.from_user(range(len(unknown)), weights, len(unknown))
        known = [token for token in query.tokens if token not in unknown]
        weights = [query.tokens[token] for token in known]
        row = SparseVector.from_user(_terms(view, field, known), weights, view.terms(field))
    elif query.sparse is not None:
        row = SparseVector.from_user(*query.sparse, vocabulary_size=view.terms(field))
    else:
        return None
    check_scores_fit(row.values, "weight")
    return row


def _terms(view: View, field: Field, tokens: Sequence[str]) -> list[int]:
    vocabulary = view.fields.encoder(field).vocabulary
    words = view.store.dictionary.numbers(field, tokens)
    return [words[token] if token in words else vocabulary.term(token) for token in tokens]


def unknown_tokens(view: View, field: Field, query: SearchQuery) -> dict[str, None]:
    """The given tokens that no vector of an imported or open field has, in order: they add 0.

    In other fields, and where it can be no word, such a token is a mistake, of which
    ``encode_query`` tells.
    """
    if query.tokens is None or not (field.encoder == IMPORTED or field.open):
        return {}
    encoder = view.fields.encoder(field)
    terms, words = (
        encoder.vocabulary.terms,
        view.store.dictionary.numbers(field, list(query.tokens)),
    )
    return {
        token: None
        for token in query.tokens
        if token.startswith(encoder.mark) and token not in terms and token not in words
    }


def _given_dense(values: Sequence[float], field: Field) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        vector = np.asarray(values, dtype=np.float64).astype(np.float32)
    if vector.shape != (field.size,):
        raise InputError(
            f"the dense query has {len(values)} values; the field {field.name!r} has {field.size}"
        )
    if not np.isfinite(vector).all():
        raise InputError("the dense query holds a value that is not finite; give finite numbers")
    check_scores_fit(vector, "value")
    return vector


def check_scores_fit(values: NDArray[np.float32], what: str) -> None:
    """Refuse a query whose score with a document of the largest weights would not be finite.

    Raises:
        InputError: the values add up to too much.
    """
    sizes = np.abs(values.astype(np.float64))
    if sizes.sum() > LARGEST_SUM:
        place = int(sizes.argmax())
        raise InputError(
            f"the query's {what} {values[place]:g} is too large for scores of 32 bits; all of them "
            f"together may be at most {LARGEST_SUM:.0e}"
        )


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
