"""What a language model may ask of indexes; answers are of bounded size."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from index.filters.text_form import parse_filter_text
from index.search.config import SearchConfig
from index.search.deadline import Deadline
from index.search.hits import Hit
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.errors import InputError, NotFoundError, UsageError
from lsr.threads import sharing_cores
from service.api.index_details import index_details
from service.api.indexes import Indexes

MOST_HITS, DEFAULT_HITS = 20, 5
MOST_INDEXES = 100
MOST_KEYS = 50
LONGEST_SNIPPET = 1500
"""Characters of a hit's text."""
LONGEST_PART = 20_000
"""Characters of a document's text at once."""
LONGEST_METADATA = 1000
"""Of the metadata of a document as JSON, characters."""


class KnownIndex(TypedDict):
    """An index, and the metadata keys by which it can be filtered."""

    name: str
    documents: int
    metadata_keys: list[str]
    problem: NotRequired[str]


class KnownIndexes(TypedDict):
    """The indexes that can be searched."""

    indexes: list[KnownIndex]
    left_out: Annotated[NotRequired[int], Field(description="How many more there are.")]


class Found(TypedDict):
    """A document found, with the passage that answers best, or the beginning of its text."""

    id: str
    title: str
    text: str
    start: Annotated[int, Field(description="The first character of this text in the document's.")]
    more: Annotated[bool, Field(description="Whether the document has more text; `get` reads it.")]
    score: float
    metadata: dict[str, Any]


class FoundDocuments(TypedDict):
    """Documents, best first."""

    index: str
    hits: list[Found]
    total: Annotated[int, Field(description="How many documents match, at least.")]
    unknown_words: Annotated[
        NotRequired[list[str]], Field(description="Words of the query that no document has.")
    ]


class DocumentPart(TypedDict):
    """A document, or a part of a long one."""

    index: str
    id: str
    title: str
    text: str
    start: int
    next_start: Annotated[NotRequired[int], Field(description="Where the next part begins.")]
    characters: Annotated[int, Field(description="Of the whole text.")]
    metadata: dict[str, Any]


class Tools:
    """The tools over some indexes.

    Args:
        indexes: what is served.
        reaches: whether whoever asks may see an index of a name.
        deadline: when the answer must be there.
    """

    def __init__(
        self,
        indexes: Indexes,
        reaches: Callable[[str], bool] = lambda _: True,
        deadline: Deadline | None = None,
    ) -> None:
        self._indexes, self._reaches = indexes, reaches
        self._deadline = deadline or Deadline()

    def list_indexes(self) -> KnownIndexes:
        """The indexes, by name."""
        names = self._names()
        answer: KnownIndexes = {"indexes": [self._known(name) for name in names[:MOST_INDEXES]]}
        if len(names) > MOST_INDEXES:
            answer["left_out"] = len(names) - MOST_INDEXES
        return answer

    def search(self, index: str | None, query: str, limit: int, wanted: str) -> FoundDocuments:
        """The documents that answer a query best.

        Raises:
            InputError: the query, the filter or the limit is malformed.
            NotFoundError: there is no such index.
            UsageError: no index is named, and there are several.
        """
        if not 1 <= limit <= MOST_HITS:
            raise InputError(f"limit is {limit}; allowed is 1 to {MOST_HITS}")
        name = self._named(index)
        parsed = parse_filter_text(wanted) if wanted.strip() else None
        config = SearchConfig(limit=limit, filter=parsed, highlight=False)
        with sharing_cores():
            result = search(self._indexes[name], SearchQuery(query), config, self._deadline)
        answer: FoundDocuments = {
            "index": name,
            "hits": [_found(hit) for hit in result.hits],
            "total": result.total.value,
        }
        if result.unknown_words:
            answer["unknown_words"] = result.unknown_words
        return answer

    def get(self, index: str | None, identifier: str, start: int) -> DocumentPart:
        """A document by its id, from a character on.

        Raises:
            InputError: the text is not that long.
            NotFoundError: there is no such index or document.
            UsageError: no index is named, and there are several.
        """
        name = self._named(index)
        document = self._indexes[name].get(identifier)
        if document is None:
            raise NotFoundError(f"the index {name!r} has no document {identifier[:200]!r}")
        length = len(document.text)
        if not 0 <= start <= length:
            raise InputError(f"start is {start}; the text has {length} characters, from 0 on")
        end = min(start + LONGEST_PART, length)
        answer: DocumentPart = {
            "index": name,
            "id": document.id,
            "title": document.title,
            "text": document.text[start:end],
            "start": start,
            "characters": length,
            "metadata": _bounded(document.metadata),
        }
        if end < length:
            answer["next_start"] = end
        return answer

    def _names(self) -> list[str]:
        return [name for name in self._indexes.names() if self._reaches(name)]

    def _named(self, index: str | None) -> str:
        names = self._names()
        listed = ", ".join(names[:MOST_INDEXES]) or "none"
        if not index:
            if len(names) == 1:
                return names[0]
            raise UsageError(f"no index is named; give one of: {listed}")
        known = index in names or (index in self._indexes.aliases and self._reaches(index))
        if not known:
            raise NotFoundError(f"there is no index {index[:200]!r}; there are: {listed}")
        return index

    def _known(self, name: str) -> KnownIndex:
        try:
            described = index_details(self._indexes, name)
            keys = [each["key"] for each in described["metadata"]]
        # Whatever it is, the others are listed.
        except Exception:
            problem = "it can't be read now; the server's log has the reason"
            return {"name": name, "documents": 0, "metadata_keys": [], "problem": problem}
        return {
            "name": name,
            "documents": described["documents"],
            "metadata_keys": keys[:MOST_KEYS],
        }


def _found(hit: Hit) -> Found:
    document = hit.document
    text = "" if document is None else document.text
    start, end = (0, len(text)) if hit.passage is None else (hit.passage.start, hit.passage.end)
    end = min(end, start + LONGEST_SNIPPET)
    return {
        "id": hit.id,
        "title": "" if document is None else document.title,
        "text": text[start:end],
        "start": start,
        "more": end - start < len(text),
        "score": hit.score,
        "metadata": {} if document is None else _bounded(document.metadata),
    }


def _bounded(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The first members that are not too long together."""
    found, room = {}, LONGEST_METADATA
    for key, value in metadata.items():
        room -= len(json.dumps({key: value}, ensure_ascii=False))
        if room < 0:
            break
        found[key] = value
    return found
