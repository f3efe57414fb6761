"""The engines by name; each is imported when it is first opened."""

from __future__ import annotations

from collections.abc import Callable

from index.engines.inverted_index import InvertedIndex
from index.engines.searcher import Searcher
from lsr.errors import UsageError


def _native() -> Callable[[InvertedIndex], Searcher]:
    from index.engines.native import NativeSearcher

    return NativeSearcher


def _reference() -> Callable[[InvertedIndex], Searcher]:
    from index.engines.reference import ReferenceSearcher

    return ReferenceSearcher


def _lucene() -> Callable[[InvertedIndex], Searcher]:
    from index.engines.lucene import LuceneSearcher

    return LuceneSearcher


def _qdrant() -> Callable[[InvertedIndex], Searcher]:
    from index.engines.qdrant import QdrantSearcher

    return QdrantSearcher


ENGINES: dict[str, Callable[[], Callable[[InvertedIndex], Searcher]]] = {
    "native": _native,
    "reference": _reference,
    "lucene": _lucene,
    "qdrant": _qdrant,
}


def open_searcher(engine: str, index: InvertedIndex) -> Searcher:
    """The engine of that name over an inverted index.

    Raises:
        UsageError: there is no such engine.
    """
    return ENGINES[check_engine(engine)]()(index)


def check_engine(engine: str) -> str:
    """The name itself; raises UsageError if no engine has it."""
    if engine not in ENGINES:
        raise UsageError(f"there is no engine {engine!r}; allowed are {', '.join(ENGINES)}")
    return engine
