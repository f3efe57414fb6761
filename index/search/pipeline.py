"""The one query path: query -> encode -> engines -> fusion -> hits.

Command line, REST and evaluation all call ``search``, so what is measured is what is served.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index.collection.collection import Collection
from index.collection.field import DENSE, SPARSE, Field
from index.collection.view import View
from index.engines.document_mask import Masks
from index.engines.effort import DEFAULT_EFFORT, pruning_of
from index.engines.searcher import EXACT, Pruning, TopK
from index.filters.tree import Filter
from index.search.explain import Contribution, contributions, query_terms
from index.search.fusion import ReciprocalRankFusion
from index.search.highlight import Highlight, highlight
from index.search.query import SearchQuery as SearchQuery
from index.search.query import encode_query
from lsr.corpus.documents import Document
from lsr.errors import InputError, UsageError
from lsr.sparse import SparseBatch, SparseVector

HYBRID = "hybrid"
LARGEST_LIMIT = 10_000
SMALLEST_PREFETCH = 100
LONGEST_TIME_BUDGET_MS = 600_000


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
    in them, ``explain`` lists the terms that carried the score. ``filter`` restricts the
    documents that are searched.

    In ``mode`` "approximate" the engines of sparse fields may leave out what is unlikely to matter:
    less, the nearer ``effort`` is to 1 (exact), and what a query has not reached after
    ``time_budget_ms`` in all its engines together. Without a budget ``effort`` is 0.5 where it is
    not given; with one it is 1. Dense fields are always searched exactly.

    ``query_encoder`` names an encoder that turns the text of queries to the field ``sparse`` into
    vectors in place of the field's own, such as an inference-free one; its vocabulary must be the
    same.
    """

    limit: int = 10
    offset: int = 0
    using: str | None = None
    prefetch: tuple[Prefetch, ...] = ()
    fusion: ReciprocalRankFusion = dataclasses.field(default_factory=ReciprocalRankFusion)
    engine: str = "native"
    payload: bool = True
    highlight: bool = True
    explain: bool = False
    filter: Filter | None = None
    mode: Literal["exact", "approximate"] = "exact"
    effort: float | None = None
    time_budget_ms: float | None = None
    query_encoder: str | None = None

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
        self._check_mode()

    def _check_mode(self) -> None:
        if self.mode not in ("exact", "approximate"):
            raise InputError(f"the mode is {self.mode!r}; allowed are exact and approximate")
        if self.effort is not None and not 0 < self.effort <= 1:
            raise InputError(f"the effort is {self.effort}; allowed is above 0, and at most 1")
        budget = self.time_budget_ms
        if budget is not None and not 0 < budget <= LONGEST_TIME_BUDGET_MS:
            raise InputError(
                f"the time budget is {budget} ms; allowed is above 0, and at most "
                f"{LONGEST_TIME_BUDGET_MS}"
            )
        if self.mode == "exact" and (self.effort is not None or budget is not None):
            raise InputError(
                "an effort or a time budget was given for exact search, which knows neither; "
                "ask for the mode approximate, or leave them out"
            )

    def pruning(self, rankings: int) -> Pruning:
        """What one of several rankings of sparse fields may leave out; they share the time."""
        if self.mode == "exact":
            return EXACT
        budget = self.time_budget_ms
        effort = self.effort or (DEFAULT_EFFORT if budget is None else 1.0)
        return pruning_of(effort, budget and budget / max(rankings, 1))

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
    highlights: list[Highlight] = dataclasses.field(default_factory=list)
    terms: dict[str, list[Contribution]] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first, of one query; ``took_ms`` wall time of the whole call, encoding included.

    ``documents`` is the number of documents searched, those newer than the segment included; with
    a filter, of those that pass it.

    ``exact`` certifies that exact search would have given these very hits. In a fusion it says so
    of every ranking that was fused, down to its whole depth, since any of its results could move
    any hit. ``bound_gap`` is how far a document that was left out could score above the last
    result of its ranking (in a fusion: the largest, each in the scores of its own field); where it
    is 0 and ``exact`` false, only a tie with that result can be missing.

    ``encoder`` has the fingerprint of each field's encoder, ``query_encoder`` that of what encoded
    the queries to a field where it is another.

    ``plans`` says how each field was searched. ``query_terms`` is filled on ``explain``.
    """

    hits: list[Hit]
    took_ms: float
    using: str
    generation: int
    documents: int
    encoder: dict[str, str]
    query_encoder: dict[str, str]
    exact: bool
    bound_gap: float
    plans: dict[str, str]
    query_terms: dict[str, list[tuple[str, float]]] = dataclasses.field(default_factory=dict)


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
    encoders = _query_encoders(fields, config)
    encoded = {
        field.name: encode_query(collection, view, field, queries, encoders.get(field.name))
        for field in fields
    }
    masks = None if config.filter is None else collection.masks(view, config.filter)
    sparse = sum(field.kind == "sparse" for field in fields)
    rankings = {
        part.using: _rank(
            view, field, encoded[field.name], part.limit, masks, config.engine,
            config.pruning(sparse),
        )
        for part, field in zip(parts, fields, strict=True)
    }  # fmt: skip
    exact, gaps = _certificates(parts, rankings)
    query_encoders = {
        name: collection.query_encoder(collection.field(name), encoder).fingerprint
        for name, encoder in encoders.items()
    }
    documents = len(view) if masks is None else sum(mask.count for mask in masks)
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
                {field.name: field.fingerprint for field in fields},
                query_encoders,
                bool(exact[place]),
                float(gaps[place]),
                {name: top.plans[place] for name, top in rankings.items()},
                query_terms=_query_terms(collection, fields, vectors) if config.explain else {},
            )
        )
    return results


def default_using(collection: Collection) -> str:
    """What is searched where nothing is said: hybrid if there is a dense field, else sparse."""
    names = [field.name for field in collection.fields]
    return HYBRID if DENSE in names else names[0]


def _plan(collection: Collection, config: SearchConfig) -> tuple[str, list[Prefetch]]:
    """The name of the search, and each ranking it needs."""
    if config.prefetch:
        if config.using not in (None, HYBRID):
            raise UsageError(f"prefetch is fused, so it goes with using={HYBRID!r} only")
        return HYBRID, _distinct(config.prefetch)
    using = config.using or default_using(collection)
    names = [SPARSE, DENSE] if using == HYBRID else using.split("+")
    if using == HYBRID and DENSE not in (field.name for field in collection.fields):
        raise UsageError(
            f"the collection {collection.path.name!r} has no dense field, which hybrid search "
            "needs; index with --dense MODEL, or fuse other fields, as in sparse+bm25"
        )
    depth = config.depth if len(names) == 1 else max(SMALLEST_PREFETCH, config.depth)
    return using, _distinct([Prefetch(name, depth) for name in names])


def _query_encoders(fields: Sequence[Field], config: SearchConfig) -> dict[str, str]:
    """Name of the encoder for queries to a field, where it isn't the field's own."""
    if config.query_encoder is None:
        return {}
    if SPARSE not in (field.name for field in fields):
        raise UsageError(
            f"a query encoder goes with the field {SPARSE!r}, and searched are "
            f"{', '.join(field.name for field in fields)}; search that field too, or give none"
        )
    return {SPARSE: config.query_encoder}


def _distinct(parts: Sequence[Prefetch]) -> list[Prefetch]:
    names = [part.using for part in parts]
    if len(set(names)) != len(names):
        raise UsageError(f"{'+'.join(names)} names a field more than once; name each once")
    return list(parts)


def _rank(
    view: View,
    field: Field,
    rows: SparseBatch | NDArray[np.float32],
    k: int,
    masks: Masks | None,
    engine: str,
    pruning: Pruning,
) -> TopK:
    if isinstance(rows, SparseBatch):
        return view.search_sparse(field, rows, k, engine, pruning, masks)
    return view.search_dense(field, rows, k, masks)


def _certificates(
    parts: Sequence[Prefetch], rankings: Mapping[str, TopK]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Of each query, whether all rankings are exact, and the largest gap; see SearchResult."""
    exact = [rankings[part.using].exact(part.limit) for part in parts]
    gaps = [rankings[part.using].bound_gap(part.limit) for part in parts]
    return np.logical_and.reduce(exact), np.max(gaps, axis=0)


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
    first = next(field for field in collection.fields if field.kind == "sparse")
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
        field.name: query_terms(collection.encoder(field).vocabulary, vector)
        for field in fields
        if isinstance(vector := vectors[field.name], SparseVector)
    }
