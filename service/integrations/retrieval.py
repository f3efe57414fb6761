"""What the retrievers share: a search of any kind of collection, and a hit as text and metadata."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeAlias

import lsr
from index.collection.collection import Collection
from index.search.hits import Hit
from lsr.errors import UsageError
from service.client.async_client import AsyncRemoteCollection
from service.client.client import RemoteCollection

Searched: TypeAlias = Collection | RemoteCollection | AsyncRemoteCollection
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
