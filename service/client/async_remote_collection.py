"""An index of a server, for programs that ``await``."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from index.search.facets import Facet, FacetCounts
from index.search.query import SearchQuery
from index.search.result import SearchResult
from lsr.corpus.documents import Document
from lsr.corpus.items import given_item
from lsr.corpus.qrels import Qrels
from lsr.encoding.progress import LoggedProgress, Progress
from lsr.sparse import SparseVector
from service.client.async_server import AsyncServer
from service.client.bulk import Bulk, UpsertReport
from service.client.search_answer import document_of
from service.client.search_request import FilterArgument, evaluation_body
from service.client.steps import EmbeddingKind, IndexSteps

if TYPE_CHECKING:
    from service.api.schemas.evaluation import EvaluateAnswer
    from service.api.schemas.explanation import ExplainAnswer
    from service.api.schemas.listing import ListedDocument
    from service.api.schemas.responses import IndexDetails
    from service.api.schemas.tasks import TaskAnswer

Given = Document | Mapping[str, Any]


class AsyncRemoteCollection:
    """``RemoteCollection`` for programs that ``await``; in place of ``len`` it has ``count``."""

    def __init__(self, client: AsyncServer, name: str) -> None:
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

    async def evaluate(
        self,
        queries: Mapping[str, str],
        qrels: Qrels,
        measures: Sequence[str] | None = None,
        depth: int = 100,
        *,
        per_query: bool = False,
        run: bool = False,
        using: str | None = None,
        filter: FilterArgument = None,  # noqa: A002
        **settings: Any,
    ) -> EvaluateAnswer:
        """How well judged queries are answered, within the time that the server gives a read.

        For many queries begin long work of the kind ``evaluate``, whose ``result`` is the same.

        Args:
            queries: texts by id.
            qrels: grades of documents by query; those of other queries don't count.
            measures: as of ir_measures; None: nDCG@10, Recall@100, MRR@10 and MAP@100.
            depth: results of each query, at most 1,000.
            per_query: whether each query has its values.
            run: whether the rankings come, as a TREC run.
            using: as for ``search``; so are ``filter`` and ``settings``, of which those go that say
                how is ranked.
        """
        body = evaluation_body(
            queries, qrels, measures, depth, per_query, run, using, filter, settings
        )
        return await self.client.run(self._steps.evaluate(body))

    async def embed_sparse(
        self,
        texts: Iterable[str],
        kind: EmbeddingKind = "document",
        using: str | None = None,
        truncate: bool = False,
    ) -> list[SparseVector]:
        """The vectors of texts by an encoder of the index, terms as it numbers them.

        The product of those of a query and a document is the score. Words that no document has yet
        have no number, and are left out.

        Args:
            texts: of queries or documents.
            kind: which of these, ``document`` or ``query``.
            using: a sparse field; None: the first.
            truncate: whether a text is cut to what the encoder reads, or refused.
        """
        return await self.client.run(self._steps.embed_sparse(texts, kind, using, truncate))

    async def get(self, identifier: str) -> Document | None:
        """The document of that id, or None."""
        return await self.client.run(self._steps.get(identifier))

    async def versioned(self, identifier: str) -> tuple[Document, str] | None:
        """The document of that id with the tag of its version (ETag), or None."""
        return await self.client.run(self._steps.versioned(identifier))

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
            kind: ``import``, ``reencode``, ``merge``, ``snapshot``, ``restore``, ``check`` or
                ``evaluate``.
            parameters: what the body of its route has, as ``source`` of an import.
        """
        return await self.client.run(self._steps.start(kind, parameters))

    async def delete(self, ids: Iterable[str]) -> set[str]:
        """Delete documents; returns the ids that were there."""
        return await self.client.run(self._steps.delete(ids))

    async def delete_matching(self, wanted: str | Mapping[str, Any]) -> set[str]:
        """Delete the documents that pass a filter, in either form; returns their ids."""
        return await self.client.run(self._steps.delete_matching(wanted))

    async def delete_document(self, identifier: str, if_match: str | None = None) -> None:
        """Delete a document, where ``if_match`` is given only while it is of that version.

        Raises:
            ConflictError: it is of another version, or is not there.
            NotFoundError: it is not there, and no version was given.
        """
        await self.client.run(self._steps.delete_document(identifier, if_match))

    async def patch(
        self, identifier: str, change: Mapping[str, Any], if_match: str | None = None
    ) -> bool:
        """Change a part of a document.

        Args:
            identifier: of the document.
            change: of ``title``, ``text`` and ``metadata``, as a JSON merge patch.
            if_match: a version of ``versioned``, of which the document must still be; ``*``: of
                any. A change with it is not sent again where the connection is lost, for it would
                be refused if the first was done.

        Returns:
            Whether the document was another before.

        Raises:
            ConflictError: it is of another version, or is not there; read it again.
            InputError: the change would make it none.
            NotFoundError: it is not there, and no version was given.
        """
        return await self.client.run(self._steps.patch(identifier, change, if_match))

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
