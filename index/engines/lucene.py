"""The Lucene engine: an Anserini impact index, in a Java machine inside this process.

``index.engines.anserini`` tells which jar that is, ``index.engines.java`` which runtime. Pyserini
itself isn't imported: all that it would add here is its other dependencies.
"""

from __future__ import annotations

import tempfile
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from index.engines.document_mask import DocumentMask
from index.engines.inverted_index import InvertedIndex
from index.engines.java import java_class, start_java
from index.engines.posting_list import PostingLists
from index.engines.searcher import EXACT, Pruning, TopK
from lsr.sparse import SparseBatch, SparseVector

LARGEST_IMPACT = 255
LARGEST_QUERY_WEIGHT = 65_535
TERMS, ORDINAL = "terms", "ordinal"
LUCENE = "org.apache.lucene."
SIMILARITY = "io.anserini.search.similarity.ImpactSimilarity"
# Constructors with overloads between which pyjnius can't tell.
FIELD = "(Ljava/lang/String;Ljava/lang/CharSequence;Lorg/apache/lucene/index/IndexableFieldType;)V"
SEARCHER = "(Lorg/apache/lucene/index/IndexReader;)V"


class LuceneSearcher:
    """Lucene's block-max search over integer impacts; scores are approximations.

    As in Anserini, a document weight becomes an integer from 1 to 255, the largest weight of the
    segment being 255, and a query weight one from 1 to 65,535, the query's largest being 65,535.
    Weights that are such integers already stay as they are. A score is the sum of their products,
    brought back to the scale of the weights. The ranking is exact for these integers, as far as
    32-bit floats hold their sums; equal sums rank by ordinal. Rounding may have swapped any two
    results, so ``unseen`` is above the best score: no ranking of this engine passes for exact.
    """

    def __init__(self, index: InvertedIndex) -> None:
        start_java()
        lists = index.posting_lists()
        self._count = lists.document_count
        self._step = _step(lists.weights, LARGEST_IMPACT)
        self._vocabulary_size = len(lists.offsets) - 1
        self.folder = tempfile.TemporaryDirectory(prefix="lsr-lucene-")
        directory = _class("store.MMapDirectory")(_class("java.io.File")(self.folder.name).toPath())
        _write(directory, _by_document(lists, self._step))
        reader = _class("index.DirectoryReader").open(directory)
        self._searcher = _class("search.IndexSearcher")(reader, signature=SEARCHER)
        self._searcher.setSimilarity(_class(SIMILARITY)())
        _class("search.IndexSearcher").setMaxClauseCount(max(1024, self._vocabulary_size))

    def search(
        self,
        queries: SparseBatch,
        k: int,
        alive: DocumentMask | None = None,
        pruning: Pruning = EXACT,
        floor: NDArray[np.float32] | None = None,
    ) -> TopK:
        """See ``Searcher.search``; scores are approximations, and nothing is pruned."""
        width = min(k, self._count)
        documents = np.full((len(queries), width), -1, dtype=np.int64)
        scores = np.zeros((len(queries), width), dtype=np.float32)
        unseen = np.zeros(len(queries), dtype=np.float32)
        for row, query in enumerate(queries):
            parsed = self.parse(query, alive)
            if parsed is None or width == 0:
                continue
            scale = self._step * _query_step(query)
            found = self.run(parsed, width)
            hits = [(hit.doc, hit.score * scale) for hit in found.scoreDocs]
            documents[row, : len(hits)] = [document for document, _ in hits]
            scores[row, : len(hits)] = [score for _, score in hits]
            if hits:
                unseen[row] = hits[0][1] + self._rounding(query)
        return TopK(documents, scores, unseen, ("lucene",) * len(queries))

    def parse(self, query: SparseVector, alive: DocumentMask | None = None) -> Any:
        """A query as Lucene's object; None where no document can match.

        Lucene's own parser reads it from a string: a call from Python for each term and weight
        would take longer than the search.
        """
        known = (query.indices < self._vocabulary_size) & (query.values > 0)
        if not known.any() or (alive is not None and alive.count == 0):
            return None
        weights = np.rint(query.values[known] / _query_step(query)).astype(np.int64)
        pairs = zip(query.indices[known].tolist(), np.maximum(weights, 1).tolist(), strict=True)
        parser = _class("queryparser.classic.QueryParser")(TERMS, _analyzer())
        parsed = parser.parse(" ".join(map("%d^%d".__mod__, pairs)))
        if alive is None or alive.count == self._count:
            return parsed
        occur = _class("search.BooleanClause$Occur")
        clauses = _class("search.BooleanQuery$Builder")()
        clauses.add(parsed, occur.MUST)
        fewer, means = alive.prepared(self, _ordinals)
        clauses.add(fewer, getattr(occur, means))
        return clauses.build()

    def run(self, parsed: Any, k: int) -> Any:
        """Lucene's TopDocs; scores are sums of products of the integers."""
        return self._searcher.search(parsed, k)

    def _rounding(self, query: SparseVector) -> float:
        """How far above its score here a document's score can be before rounding."""
        weights = float(query.values.sum()) * self._step
        largest = len(query) * _query_step(query) * self._step * LARGEST_IMPACT
        return (weights + largest) / 2 * (1 + 1e-5)


@cache
def _class(name: str) -> Any:
    return java_class(name if name.startswith(("java.", "io.")) else LUCENE + name)


@cache
def _analyzer() -> Any:
    """Reads a document from a string of TERM|IMPACT, and a query from one of TERM."""
    builder = _class("analysis.custom.CustomAnalyzer").builder()
    return builder.withTokenizer("whitespace").addTokenFilter("delimitedTermFrequency").build()


def _by_document(lists: PostingLists, step: float) -> scipy.sparse.csr_array:
    """Impacts, uint8 from 1, of shape (n_documents, vocabulary_size)."""
    impacts = np.rint(lists.weights.astype(np.float32) / (step or 1.0))
    return scipy.sparse.csc_array(
        (np.maximum(impacts, 1).astype(np.uint8), lists.documents.astype(np.int64), lists.offsets),
        shape=(lists.document_count, len(lists.offsets) - 1),
    ).tocsr()


def _write(directory: Any, impacts: scipy.sparse.csr_array) -> None:
    """One Lucene segment, whose document numbers are the ordinals."""
    config = _class("index.IndexWriterConfig")(_analyzer())
    config.setSimilarity(_class(SIMILARITY)())
    # Merges neighbours only, so that documents keep their order.
    config.setMergePolicy(_class("index.LogByteSizeMergePolicy")())
    config.setRAMBufferSizeMB(256.0)
    writer = _class("index.IndexWriter")(directory, config)
    kind = _class("document.FieldType")()
    kind.setIndexOptions(_class("index.IndexOptions").DOCS_AND_FREQS)
    kind.setTokenized(True)
    kind.setOmitNorms(True)
    terms = _class("document.Field")(TERMS, "", kind, signature=FIELD)
    ordinal = _class("document.IntPoint")(ORDINAL, 0)
    document = _class("document.Document")()
    document.add(terms)
    document.add(ordinal)
    for row in range(impacts.shape[0]):
        span = slice(impacts.indptr[row], impacts.indptr[row + 1])
        pairs = zip(impacts.indices[span].tolist(), impacts.data[span].tolist(), strict=True)
        terms.setStringValue(" ".join(map("%d|%d".__mod__, pairs)))
        ordinal.setIntValue(row)
        writer.addDocument(document)
    writer.forceMerge(1)
    writer.close()


def _ordinals(allowed: NDArray[np.uint8]) -> tuple[Any, str]:
    """A query for the allowed documents or for the others, the fewer, and how it takes part."""
    few = np.count_nonzero(allowed) * 2 < len(allowed)
    ordinals = np.flatnonzero(allowed if few else allowed == 0).tolist()
    return _class("document.IntPoint").newSetQuery(ORDINAL, *ordinals), (
        "FILTER" if few else "MUST_NOT"
    )


def _query_step(query: SparseVector) -> float:
    return _step(query.values, LARGEST_QUERY_WEIGHT)


def _step(weights: NDArray[np.floating[Any]], largest: int) -> float:
    """What an integer weight of 1 stands for: 1 where all are such integers already."""
    most = float(weights.max(initial=0))
    if most <= largest and np.array_equal(weights, np.rint(weights)):
        return 1.0
    return most / largest
