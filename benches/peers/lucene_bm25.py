"""Lucene's own BM25 over texts, with Anserini's analyser, queries and parameters."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

from index.engines.java import java_class, start_java
from index.engines.lucene import SEARCHER

CONTENTS = "contents"
# Anserini's.
K1, B = 0.9, 0.4
TEXT_FIELD = "(Ljava/lang/String;Ljava/lang/String;Lorg/apache/lucene/document/Field$Store;)V"


def rank(documents: Iterable[str], queries: Sequence[str], k: int) -> list[list[tuple[int, float]]]:
    """The top k documents of each query, by their places, with their scores.

    Raises:
        MissingDependencyError: Pyserini, pyjnius or a Java runtime is not installed.
    """
    start_java()
    with tempfile.TemporaryDirectory(prefix="lsr-lucene-bm25-") as folder:
        return _search(_index(folder, documents), queries, k)


def _class(name: str) -> Any:
    return java_class(name if name.startswith(("java.", "io.")) else f"org.apache.lucene.{name}")


def _analyzer() -> Any:
    return _class("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()


def _similarity() -> Any:
    return _class("search.similarities.BM25Similarity")(K1, B)


def _index(folder: str, documents: Iterable[str]) -> Any:
    """A searcher over one segment, in which documents have their places as numbers."""
    directory = _class("store.MMapDirectory")(_class("java.io.File")(folder).toPath())
    config = _class("index.IndexWriterConfig")(_analyzer())
    config.setSimilarity(_similarity())
    # Merges neighbours only, so that documents keep their order.
    config.setMergePolicy(_class("index.LogByteSizeMergePolicy")())
    writer = _class("index.IndexWriter")(directory, config)
    kept = _class("document.Field$Store").NO
    for text in documents:
        document = _class("document.Document")()
        document.add(_class("document.TextField")(CONTENTS, text, kept, signature=TEXT_FIELD))
        writer.addDocument(document)
    writer.forceMerge(1)
    writer.close()
    reader = _class("index.DirectoryReader").open(directory)
    searcher = _class("search.IndexSearcher")(reader, signature=SEARCHER)
    searcher.setSimilarity(_similarity())
    return searcher


def _search(searcher: Any, queries: Sequence[str], k: int) -> list[list[tuple[int, float]]]:
    bag, analyzer = _class("io.anserini.search.query.BagOfWordsQueryGenerator")(), _analyzer()
    return [
        [
            (hit.doc, float(hit.score))
            for hit in searcher.search(bag.buildQuery(CONTENTS, analyzer, query), k).scoreDocs
        ]
        for query in queries
    ]
