"""What the retrievers share: a search of any kind of collection, and a hit as text and metadata."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import lsr
from index.collection.collection import Collection
from index.filters.json_form import parse_filter_json
from index.listing import MOST_LISTED, fetch_documents, list_documents
from index.qdrant.collection import QdrantCollection
from index.search.hits import Hit
from lsr.corpus.documents import Document
from lsr.errors import UsageError
from service.client.async_remote_collection import AsyncRemoteCollection
from service.client.remote_collection import RemoteCollection

Searched: TypeAlias = Collection | QdrantCollection | RemoteCollection | AsyncRemoteCollection
FilterArgument: TypeAlias = str | Mapping[str, Any] | None
TITLE, SCORE, PASSAGE = "title", "score", "passage"


def search(
    collection: Searched,
    query: str,
    limit: int,
    filter: FilterArgument,  # noqa: A002
    settings: Mapping[str, Any],
) -> list[Hit]:
    """The hits of a search; ``filter`` is in its text form or its JSON form.

    Raises:
        UsageError: the collection is one of programs that ``await``.
    """
    if isinstance(collection, AsyncRemoteCollection):
        raise UsageError(
            "the collection is one of an AsyncClient, and the call is none of those that are "
            "awaited; await it, or give a collection of a Client"
        )
    if not query.strip():
        return []
    return lsr.search(collection, query, limit, filter=filter, **_lean(settings)).hits


async def search_async(
    collection: Searched,
    query: str,
    limit: int,
    filter: FilterArgument,  # noqa: A002
    settings: Mapping[str, Any],
) -> list[Hit]:
    """The same for programs that ``await``, which a collection of a ``Client`` doesn't block."""
    if not isinstance(collection, AsyncRemoteCollection):
        return await asyncio.to_thread(search, collection, query, limit, filter, settings)
    if not query.strip():
        return []
    return (await collection.search(query, limit, filter=filter, **_lean(settings))).hits


def documents_of(
    collection: Collection | QdrantCollection | RemoteCollection, wanted: Mapping[str, Any] | None
) -> Iterator[Document]:
    """The documents that pass a filter in its JSON form, in the order of writing."""
    if isinstance(collection, RemoteCollection):
        yield from collection.documents(wanted)
        return
    parsed = None if wanted is None else parse_filter_json(wanted)
    page = list_documents(collection, MOST_LISTED, None, parsed)
    yield from filter(None, page.documents.values())
    while page.cursor is not None:
        page = list_documents(collection, MOST_LISTED, page.cursor, parsed)
        yield from filter(None, page.documents.values())


def fetched(
    collection: Collection | QdrantCollection | RemoteCollection, ids: Sequence[str]
) -> list[str]:
    """Those of the ids that documents have."""
    if isinstance(collection, RemoteCollection):
        return list(collection.fetch(ids))
    return list(fetch_documents(collection, ids))


def text_of(hit: Hit) -> str:
    """The passage that was found of a document that is split, else the whole text."""
    if hit.document is None:
        return ""
    text = hit.document.text
    return text if hit.passage is None else text[hit.passage.start : hit.passage.end]


def metadata_of(hit: Hit) -> dict[str, Any]:
    """The document's metadata with ``title`` and ``score``, and where it is split ``passage``.

    Members of these names that the document has itself are not among them.
    """
    document, passage = hit.document, hit.passage
    found: dict[str, Any] = {} if document is None else dict(document.metadata)
    found |= {TITLE: "" if document is None else document.title, SCORE: hit.score}
    if passage is not None:
        found[PASSAGE] = {
            "number": passage.number,
            "count": passage.count,
            "start": passage.start,
            "end": passage.end,
            "heading": passage.heading,
            "page": passage.page,
        }
    return found


def _lean(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without marks, which nobody sees."""
    return {"highlight": False, **settings}
