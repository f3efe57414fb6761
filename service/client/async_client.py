"""The client of programs that ``await``: the same methods, and the same steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from index.search.facets import Facet, FacetCounts
from index.search.query import SearchQuery
from index.search.result import SearchResult
from lsr.corpus.documents import Document
from lsr.corpus.items import given_item
from lsr.encoding.progress import LoggedProgress, Progress
from service.client.bulk import Bulk, UpsertReport
from service.client.connection import (
    ADDRESS,
    TIMEOUT_MS,
    WRITE_TIMEOUT_MS,
    Body,
    Connection,
    httpx_module,
)
from service.client.exchange import Answer, Lost, Pause, Request, Steps
from service.client.search_answer import document_of
from service.client.search_request import FilterArgument
from service.client.server_steps import ServerSteps
from service.client.steps import IndexSteps

if TYPE_CHECKING:
    from service.api.schemas.explanation import ExplainAnswer
    from service.api.schemas.listing import ListedDocument
    from service.api.schemas.responses import BrokenIndex, IndexAnswer, IndexDetails
    from service.api.schemas.tasks import TaskAnswer

T = TypeVar("T")
Given = Document | Mapping[str, Any]


class AsyncClient:
    """``Client`` for programs that ``await``; its arguments, and its errors, are the same."""

    def __init__(
        self,
        url: str = ADDRESS,
        key: str | None = None,
        *,
        timeout_ms: float = TIMEOUT_MS,
        write_timeout_ms: float = WRITE_TIMEOUT_MS,
        retries: int = 4,
        ca_file: str | Path | None = None,
    ) -> None:
        ca = None if ca_file is None else Path(ca_file)
        self.connection = Connection(url, key, timeout_ms, write_timeout_ms, retries, ca)
        self._http = httpx_module().AsyncClient(**self.connection.http)
        self._steps = ServerSteps(retries)

    def __repr__(self) -> str:
        return f"AsyncClient({self.connection.url!r})"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def open(self, name: str) -> AsyncRemoteCollection:
        """The index of that name; as ``Client.open``."""
        collection = AsyncRemoteCollection(self, name)
        await collection.describe()
        return collection

    async def indexes(self) -> list[IndexAnswer | BrokenIndex]:
        """All indexes with their fields and numbers of documents, or what is wrong with them."""
        return await self.run(self._steps.indexes())

    async def create(
        self,
        name: str,
        encoder: str | None = None,
        dense: str | None = None,
        bm25: bool = False,
        *,
        passages: str = "auto",
        language: str | None = None,
    ) -> AsyncRemoteCollection:
        """A new, empty index; as ``lsr.create``.

        Args:
            name: of the index.
            encoder: ``bm25``, or one of those that the server allows; None: its default.
            dense: likewise, of a dense encoder beside it.
            bm25: as for ``lsr.create``.
            passages: as for ``lsr.create``.
            language: the analyser that makes the words.

        Raises:
            ConflictError: there is one already.
        """
        settings = {
            "encoder": encoder,
            "dense": dense,
            "bm25": bm25,
            "passages": passages,
            "language": language,
        }
        await self.run(self._steps.create(name, settings))
        return AsyncRemoteCollection(self, name)

    async def delete(self, name: str) -> None:
        """Delete an index with all its documents and aliases; its snapshots stay.

        Raises:
            NotFoundError: there is none.
        """
        await self.run(self._steps.delete(name))

    async def aliases(self) -> dict[str, str]:
        """The index of each alias, which is another name for it in every call."""
        return await self.run(self._steps.aliases())

    async def change_aliases(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        """Point aliases to indexes, or remove them (None), all in one instant; all there are then.

        Raises:
            NotFoundError: there is no such index; nothing is changed then.
        """
        return await self.run(self._steps.change_aliases(changes))

    async def task(self, identifier: str) -> TaskAnswer:
        """Long work as it is now.

        Raises:
            NotFoundError: there is none of this id.
        """
        return await self.run(self._steps.task(identifier))

    async def cancel(self, identifier: str) -> TaskAnswer:
        """Cancel long work: at once where it waits, else at its next step.

        Raises:
            ConflictError: it has ended.
        """
        return await self.run(self._steps.cancel(identifier))

    async def finished(self, task: TaskAnswer) -> TaskAnswer:
        """Long work once it has ended, well or not, as its ``status`` and ``error`` say."""
        return await self.run(self._steps.finished(task))

    async def run(self, steps: Steps[T]) -> T:
        """Take steps to their end."""
        outcome: Answer | Lost | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                outcome = None
            else:
                outcome = await self._send(step)

    async def _send(self, request: Request) -> Answer | Lost:
        body = Body()
        try:
            async with self._http.stream(**self.connection.sent(request)) as response:
                async for part in response.aiter_bytes():
                    body.add(part)
                return Answer(response.status_code, response.headers, bytes(body))
        except httpx_module().HTTPError as error:
            return self.connection.lost(error, request)


class AsyncRemoteCollection:
    """``RemoteCollection`` for programs that ``await``; in place of ``len`` it has ``count``."""

    def __init__(self, client: AsyncClient, name: str) -> None:
        self.client = client
        self.name = name
        self._steps = IndexSteps(name, client.connection.retries)

    def __repr__(self) -> str:
        return f"{self.client!r}.open({self.name!r})"

    async def count(self) -> int:
        """How many documents there are."""
        return (await self.describe())["documents"]

    async def describe(self) -> IndexDetails:
        """Name, number of documents, fields and metadata keys."""
        return await self.client.run(self._steps.describe())

    async def search(
        self,
        query: str | SearchQuery,
        limit: int = 10,
        using: str | None = None,
        filter: FilterArgument = None,  # noqa: A002
        **settings: Any,
    ) -> SearchResult:
        """The documents that answer a query best; as ``RemoteCollection.search``."""
        return await self.client.run(self._steps.search(query, limit, using, filter, settings))

    async def search_batch(
        self,
        queries: Iterable[str | SearchQuery],
        limit: int = 10,
        using: str | None = None,
        filter: FilterArgument = None,  # noqa: A002
        **settings: Any,
    ) -> list[SearchResult]:
        """The results of several queries, in their order, each as ``search`` gives it.

        A hundred go in one request. Where one of them can't be, its error is raised.
        """
        return await self.client.run(
            self._steps.search_batch(queries, limit, using, filter, settings)
        )

    async def explain(
        self,
        identifier: str,
        query: str | SearchQuery,
        using: str | None = None,
        filter: FilterArgument = None,  # noqa: A002
        **settings: Any,
    ) -> ExplainAnswer:
        """Why a document stands where it does in the answer to a query: its ranks, and its terms.

        ``settings`` are those of ``search`` that say how is ranked.
        """
        return await self.client.run(
            self._steps.explain(identifier, query, using, filter, settings)
        )

    async def facets(
        self,
        facets: Iterable[str | Facet],
        query: str | SearchQuery | None = None,
        using: str | None = None,
        filter: FilterArgument = None,  # noqa: A002
    ) -> list[FacetCounts]:
        """How many documents have each value of some metadata keys."""
        return await self.client.run(self._steps.facets(facets, query, using, filter))

    async def get(self, identifier: str) -> Document | None:
        """The document of that id, or None."""
        return await self.client.run(self._steps.get(identifier))

    async def fetch(self, ids: Iterable[str]) -> dict[str, Document]:
        """The documents of those ids that are there, in their order."""
        return await self.client.run(self._steps.fetch(ids))

    async def ids(self) -> list[str]:
        """All ids, in the order of writing."""
        return [each["id"] async for each in self._listed(None, whole=False)]

    async def documents(self, filter: FilterArgument = None) -> AsyncIterator[Document]:  # noqa: A002
        """The documents in the order of writing; as ``RemoteCollection.documents``."""
        async for each in self._listed(filter, whole=True):
            yield document_of(each)

    async def upsert(
        self,
        documents: Iterable[Given] | AsyncIterable[Given],
        progress: Progress | None = None,
    ) -> UpsertReport:
        """Write documents, of an iterable of either kind; as ``RemoteCollection.upsert``."""
        with Bulk(progress or LoggedProgress()) as bulk:
            number = 0
            async for given in _each(documents):
                number += 1
                for part in bulk.add(given_item(number, given)):
                    await self.client.run(self._steps.upsert(bulk, part))
            for part in bulk.rest():
                await self.client.run(self._steps.upsert(bulk, part))
            return bulk.report

    async def start(self, kind: str, **parameters: Any) -> TaskAnswer:
        """Begin long work on the index, for ``finished`` of the client to wait for.

        Args:
            kind: ``import``, ``reencode``, ``merge``, ``snapshot``, ``restore`` or ``check``.
            parameters: what the body of its route has, as ``source`` of an import.
        """
        return await self.client.run(self._steps.start(kind, parameters))

    async def delete(self, ids: Iterable[str]) -> set[str]:
        """Delete documents; returns the ids that were there."""
        return await self.client.run(self._steps.delete(ids))

    async def delete_matching(self, wanted: str | Mapping[str, Any]) -> set[str]:
        """Delete the documents that pass a filter, in either form; returns their ids."""
        return await self.client.run(self._steps.delete_matching(wanted))

    async def patch(self, identifier: str, change: Mapping[str, Any]) -> bool:
        """Change a part of a document; as ``RemoteCollection.patch``."""
        return await self.client.run(self._steps.patch(identifier, change))

    async def _listed(self, wanted: FilterArgument, whole: bool) -> AsyncIterator[ListedDocument]:
        cursor = None
        while True:
            page = await self.client.run(self._steps.page(cursor, wanted, whole))
            for each in page["documents"]:
                yield each
            cursor = page.get("cursor")
            if cursor is None:
                return


async def _each(documents: Iterable[Given] | AsyncIterable[Given]) -> AsyncIterator[Given]:
    if isinstance(documents, AsyncIterable):
        async for given in documents:
            yield given
    else:
        for given in documents:
            yield given
