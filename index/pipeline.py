"""The one query path: query -> encode -> engines -> fusion -> hits.

Command line, REST and evaluation all call ``search``, so what is measured is what is served.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from index.collection import Collection
from index.explain import Contribution, contributions, query_terms
from index.field import DENSE, SPARSE, Field
from index.fusion import ReciprocalRankFusion
from index.highlight import Highlight, highlight
from index.searcher import TopK
from index.view import View
from lsr.documents import Document, check_unicode
from lsr.errors import InputError, UsageError
from lsr.sparse import SparseBatch, SparseVector

HYBRID = "hybrid"
LARGEST_LIMIT = 10_000
SMALLEST_PREFETCH = 100
LONGEST_QUERY = 1 << 20


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


@dataclass(frozen=True, slots=True)
class Prefetch:
    """One ranking that enters the fusion: the field searched and how deep."""

    using: str
    limit: int


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """How to search.

    ``using`` names a field, fields to fuse as in ``sparse+bm25``, or ``hybrid``, which is
    ``sparse+dense``; None takes hybrid where the collection has a dense field, else the sparse
    field. Each fused ranking goes as deep as the larger of 100 and offset + limit; ``prefetch``
    says otherwise, ranking by ranking. ``payload`` fetches documents, ``highlight`` marks words
    in them, ``explain`` lists the terms that carried the score.
    """

    limit: int = 10
    offset: int = 0
    using: str | None = None
    prefetch: tuple[Prefetch, ...] = ()
    fusion: ReciprocalRankFusion = field(default_factory=ReciprocalRankFusion)
    engine: str = "native"
    payload: bool = True
    highlight: bool = True
    explain: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= LARGEST_LIMIT:
            raise InputError(f"limit is {self.limit}; allowed is 1 to {LARGEST_LIMIT}")
        if not 0 <= self.offset <= LARGEST_LIMIT:
            raise InputError(f"offset is {self.offset}; allowed is 0 to {LARGEST_LIMIT}")
        for part in self.prefetch:
            if not 1 <= part.limit <= 2 * LARGEST_LIMIT:
                raise InputError(
                    f"a prefetch limit is {part.limit}; allowed is 1 to {2 * LARGEST_LIMIT}"
                )

    @property
    def depth(self) -> int:
        """Results wanted before the offset is cut."""
        return self.offset + self.limit


@dataclass(frozen=True, slots=True)
class Hit:
    """One result. ``scores`` holds the score in each ranking that found it."""

    id: str
    score: float
    scores: dict[str, float]
    document: Document | None = None
    highlights: list[Highlight] = field(default_factory=list)
    terms: dict[str, list[Contribution]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first, of one query; ``took_ms`` wall time of the whole call, encoding included.

    ``documents`` is the number of documents searched, those newer than the segment included.

    ``exact`` is whether the ranking is the true top k of what was searched, ``bound_gap`` how far
    an unseen document could be above the last hit. ``query_terms`` is filled on ``explain``.
    """

    hits: list[Hit]
    took_ms: float
    using: str
    generation: int
    documents: int
    encoder: dict[str, str]
    exact: bool = True
    bound_gap: float = 0.0
    query_terms: dict[str, list[tuple[str, float]]] = field(default_factory=dict)


EncodedQuery = SparseVector | NDArray[np.float32]


def search(
    collection: Collection, query: SearchQuery, config: SearchConfig | None = None
) -> SearchResult:
    """Search for one query.

    Raises:
        InputError: the query is empty or malformed.
        UsageError: the collection has no such field, or the query lacks what a field needs.
    """
    return search_batch(collection, [query], config)[0]


def search_batch(
    collection: Collection, queries: Sequence[SearchQuery], config: SearchConfig | None = None
) -> list[SearchResult]:
    """Search for several queries over one state of the collection; results in their order."""
    started = time.perf_counter()
    with collection.pinned() as view:
        return _search_view(collection, view, queries, config or SearchConfig(), started)


def _search_view(
    collection: Collection,
    view: View,
    queries: Sequence[SearchQuery],
    config: SearchConfig,
    started: float,
) -> list[SearchResult]:
    using, parts = _plan(collection, config)
    fields = [collection.field(part.using) for part in parts]
    encoded = {item.name: _encode(collection, view, item, queries) for item in fields}
    rankings = {
        part.using: _rank(view, item, encoded[item.name], part.limit, config.engine)
        for part, item in zip(parts, fields, strict=True)
    }
    documents = len(view)
    results = []
    for place, query in enumerate(queries):
        sources = {name: top.ranking(place) for name, top in rankings.items()}
        alone = len(parts) == 1 and not config.prefetch
        fused = sources[using] if alone else config.fusion.fuse(sources)
        vectors = {name: rows[place] for name, rows in encoded.items()}
        hits = _hits(collection, view, query, config, fused, sources, vectors)
        took_ms = 1000 * (time.perf_counter() - started)
        results.append(
            SearchResult(
                hits,
                took_ms,
                using,
                view.generation,
                documents,
                {item.name: item.fingerprint for item in fields},
                query_terms=_query_terms(collection, fields, vectors) if config.explain else {},
            )
        )
    return results


def default_using(collection: Collection) -> str:
    """What is searched where nothing is said: hybrid if there is a dense field, else sparse."""
    names = [item.name for item in collection.fields]
    return HYBRID if DENSE in names else names[0]


def _plan(collection: Collection, config: SearchConfig) -> tuple[str, list[Prefetch]]:
    """The name of the search, and each ranking it needs."""
    if config.prefetch:
        if config.using not in (None, HYBRID):
            raise UsageError(f"prefetch is fused, so it goes with using={HYBRID!r} only")
        return HYBRID, _distinct(config.prefetch)
    using = config.using or default_using(collection)
    names = [SPARSE, DENSE] if using == HYBRID else using.split("+")
    if using == HYBRID and DENSE not in (item.name for item in collection.fields):
        raise UsageError(
            f"the collection {collection.path.name!r} has no dense field, which hybrid search "
            "needs; index with --dense MODEL, or fuse other fields, as in sparse+bm25"
        )
    depth = config.depth if len(names) == 1 else max(SMALLEST_PREFETCH, config.depth)
    return using, _distinct([Prefetch(name, depth) for name in names])


def _distinct(parts: Sequence[Prefetch]) -> list[Prefetch]:
    names = [part.using for part in parts]
    if len(set(names)) != len(names):
        raise UsageError(f"{'+'.join(names)} names a field more than once; name each once")
    return list(parts)


def _encode(
    collection: Collection, view: View, item: Field, queries: Sequence[SearchQuery]
) -> SparseBatch | NDArray[np.float32]:
    """A row for each query, from its given vector or its text."""
    if item.kind == "dense":
        return _encode_dense(collection, item, queries)
    encoder = collection.encoder(item)
    given = [_given_sparse(query, collection, item) for query in queries]
    texts = [_text(query, item) for query, row in zip(queries, given, strict=True) if row is None]
    encoded = iter(encoder.encode_queries(texts, view.statistics) if texts else ())
    rows = [next(encoded) if row is None else row for row in given]
    return SparseBatch.from_rows(rows, item.size)


def _encode_dense(
    collection: Collection, item: Field, queries: Sequence[SearchQuery]
) -> NDArray[np.float32]:
    vectors = np.zeros((len(queries), item.size), dtype=np.float32)
    places = [place for place, query in enumerate(queries) if query.dense is None]
    texts = [_text(queries[place], item) for place in places]
    if texts:
        vectors[places] = collection.dense_encoder(item).encode(texts)
    for place, query in enumerate(queries):
        if query.dense is not None:
            vectors[place] = _given_dense(query.dense, item)
    return vectors


def _given_sparse(query: SearchQuery, collection: Collection, item: Field) -> SparseVector | None:
    if query.tokens is not None and query.sparse is not None:
        raise InputError("the query has both tokens and a sparse vector; give one of them")
    if query.tokens is not None:
        vocabulary = collection.encoder(item).vocabulary
        terms = [vocabulary.term(token) for token in query.tokens]
        return SparseVector.from_user(terms, list(query.tokens.values()), item.size)
    if query.sparse is not None:
        return SparseVector.from_user(*query.sparse, vocabulary_size=item.size)
    return None


def _given_dense(values: Sequence[float], item: Field) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        vector = np.asarray(values, dtype=np.float64).astype(np.float32)
    if vector.shape != (item.size,):
        raise InputError(
            f"the dense query has {len(values)} values; the field {item.name!r} has {item.size}"
        )
    if not np.isfinite(vector).all():
        raise InputError("the dense query holds a value that is not finite; give finite numbers")
    return vector


def _text(query: SearchQuery, item: Field) -> str:
    if query.text is None:
        wanted = "dense" if item.kind == "dense" else "tokens or sparse"
        raise UsageError(
            f"searching the field {item.name!r} needs the query's text, or {wanted} in its place"
        )
    if not query.text.strip():
        raise InputError("the query is empty; give at least one word")
    if len(query.text) > LONGEST_QUERY:
        raise InputError(f"the query is longer than {LONGEST_QUERY} characters; shorten it")
    return check_unicode(query.text, "query")


def _rank(
    view: View, item: Field, rows: SparseBatch | NDArray[np.float32], k: int, engine: str
) -> TopK:
    if isinstance(rows, SparseBatch):
        return view.search_sparse(item, rows, k, engine)
    return view.search_dense(item, rows, k)


def _hits(
    collection: Collection,
    view: View,
    query: SearchQuery,
    config: SearchConfig,
    ranking: Sequence[tuple[int, float]],
    sources: Mapping[str, Sequence[tuple[int, float]]],
    vectors: Mapping[str, EncodedQuery],
) -> list[Hit]:
    """Hits of the page asked for."""
    page = ranking[config.offset : config.depth]
    numbers = [number for number, _ in page]
    scores = {name: dict(source) for name, source in sources.items()}
    store = collection.store
    documents = store.documents(numbers) if config.payload else {}
    ids = {} if config.payload else store.ids(numbers)
    sparse = {name: vector for name, vector in vectors.items() if isinstance(vector, SparseVector)}
    wants_terms = config.explain or (config.highlight and config.payload)
    terms = (
        {name: contributions(collection, view, name, sparse[name], numbers) for name in sparse}
        if wants_terms
        else {}
    )
    hits = []
    for number, score in page:
        document = documents.get(number)
        identifier = document.id if document else ids[number]
        matched = {name: found[number] for name, found in terms.items() if number in found}
        marks = (
            _highlights(collection, query, document, matched)
            if document is not None and config.highlight
            else []
        )
        hits.append(
            Hit(
                identifier,
                score,
                {name: source[number] for name, source in scores.items() if number in source},
                document,
                marks,
                matched if config.explain else {},
            )
        )
    return hits


def _highlights(
    collection: Collection,
    query: SearchQuery,
    document: Document,
    matched: Mapping[str, Sequence[Contribution]],
) -> list[Highlight]:
    """Title and text with the words marked that carried the score, or are in the query."""
    first = next(item for item in collection.fields if item.kind == "sparse")
    vocabulary = collection.encoder(first).vocabulary
    weights: dict[int, float] = {}
    if query.text and not matched:
        weights = dict.fromkeys(vocabulary.tokenize([query.text])[0], 1.0)
    for terms in matched.values():
        largest = max((term.contribution for term in terms), default=0.0)
        for term in terms:
            if term.contribution >= largest / 4:
                weights[term.term] = term.contribution / largest
    return [
        highlight(name, text, weights, vocabulary)
        for name, text in (("title", document.title), ("text", document.text))
        if text
    ]


def _query_terms(
    collection: Collection, fields: Sequence[Field], vectors: Mapping[str, EncodedQuery]
) -> dict[str, list[tuple[str, float]]]:
    return {
        item.name: query_terms(collection.encoder(item).vocabulary, vector)
        for item in fields
        if isinstance(vector := vectors[item.name], SparseVector)
    }
