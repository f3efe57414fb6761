"""An index of a server, for Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from index.search.facets import Facet, FacetCounts
from index.search.query import SearchQuery
from index.search.result import SearchResult
from lsr.corpus.documents import Document
from lsr.corpus.items import Item, given_items
from lsr.corpus.qrels import Qrels
from lsr.encoding.progress import LoggedProgress, Progress
from lsr.sparse import SparseVector
from service.client.bulk import Bulk, UpsertReport
from service.client.search_answer import document_of
from service.client.search_request import FilterArgument, evaluation_body
from service.client.server import Server
from service.client.steps import EmbeddingKind, IndexSteps

if TYPE_CHECKING:
    from service.api.schemas.evaluation import EvaluateAnswer
    from service.api.schemas.explanation import ExplainAnswer
    from service.api.schemas.listing import ListedDocument
    from service.api.schemas.responses import IndexDetails
    from service.api.schemas.tasks import TaskAnswer


class RemoteCollection:
    """An index of a server, with the names of a ``Collection``."""

    def __init__(self, client: Server, name: str) -> None:
        self.client = client
        self.name = name
        self._steps = IndexSteps(name, client.connection.retries)

    def __repr__(self) -> str:
        return f"{self.client!r}.open({self.name!r})"

    def __len__(self) -> int:
        return self.describe()["documents"]

    def describe(self) -> IndexDetails:
        """Name, number of documents, fields and metadata keys."""
        return self.client.run(self._steps.describe())

    def search(
        self,
        query: str | SearchQuery,
        limit: int = 10,
        using: str | None = None,
        filter: FilterArgument = None,  # noqa: A002
        **settings: Any,
    ) -> SearchResult:
        """The documents that answer a query best, as ``lsr.search`` gives them.

        Args:
            query: a text, or a ``SearchQuery`` with vectors in its place.
            limit: hits wanted.
            using: as for ``lsr.search``.
            filter: in its text form or its JSON form.
            settings: as for ``lsr.search``, but for what a server decides itself: ``engine``,
                ``query_encoder`` and ``most_characters``.
        """
        return self.client.run(self._steps.search(query, limit, using, filter, settings))

    def search_batch(
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
        return self.client.run(self._steps.search_batch(queries, limit, using, filter, settings))

    def explain(
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
        return self.client.run(self._steps.explain(identifier, query, using, filter, settings))

    def facets(
        self,
        facets: Iterable[str | Facet],
        query: str | SearchQuery | None = None,
        using: str | None = None,
        filter: FilterArgument = None,  # noqa: A002
    ) -> list[FacetCounts]:
        """How many documents have each value of some metadata keys; ``facets`` as of a search."""
        return self.client.run(self._steps.facets(facets, query, using, filter))

    def evaluate(
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
        return self.client.run(self._steps.evaluate(body))

    def embed_sparse(
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
        return self.client.run(self._steps.embed_sparse(texts, kind, using, truncate))

    def get(self, identifier: str) -> Document | None:
        """The document of that id, or None."""
        return self.client.run(self._steps.get(identifier))

    def versioned(self, identifier: str) -> tuple[Document, str] | None:
        """The document of that id with the tag of its version (ETag), or None."""
        return self.client.run(self._steps.versioned(identifier))

    def fetch(self, ids: Iterable[str]) -> dict[str, Document]:
        """The documents of those ids that are there, in their order."""
        return self.client.run(self._steps.fetch(ids))

    def ids(self) -> list[str]:
        """All ids, in the order of writing."""
        return [each["id"] for each in self._listed(None, whole=False)]

    def documents(self, filter: FilterArgument = None) -> Iterator[Document]:  # noqa: A002
        """The documents in the order of writing, those that pass a filter; fetched page by page.

        Each that stays as it is comes exactly once, whatever is written meanwhile; of one that is
        damaged, the id comes.
        """
        return map(document_of, self._listed(filter, whole=True))

    def upsert(
        self,
        documents: Iterable[Document | Mapping[str, Any]],
        progress: Progress | None = None,
    ) -> UpsertReport:
        """Write documents, each a ``Document`` or a mapping as a line of a .jsonl file.

        They are sent in parts of about a megabyte while they are read, so that there may be more
        of them than memory holds, and each part is on the server's disk before the next is sent.
        Those that are stored as they are, the server leaves so: a call that was interrupted may be
        made again. ``sections`` of documents are not sent.

        Args:
            documents: of distinct ids.
            progress: is told of the report after each part, and of what is rejected; None: what is
                rejected is warned of.

        Returns:
            The totals, and each item that was rejected, with the reason.

        Raises:
            LsrError: the server could not write, after all the retries; the parts before stay
                written.
        """
        return self.upsert_items(given_items(documents), progress)

    def upsert_items(self, items: Iterable[Item], progress: Progress | None = None) -> UpsertReport:
        """Write the items of a source; as ``upsert``."""
        with Bulk(progress or LoggedProgress()) as bulk:
            for item in items:
                for part in bulk.add(item):
                    self.client.run(self._steps.upsert(bulk, part))
            for part in bulk.rest():
                self.client.run(self._steps.upsert(bulk, part))
            return bulk.report

    def start(self, kind: str, **parameters: Any) -> TaskAnswer:
        """Begin long work on the index, for ``finished`` of the client to wait for.

        Args:
            kind: ``import``, ``reencode``, ``merge``, ``snapshot``, ``restore``, ``check`` or
                ``evaluate``.
            parameters: what the body of its route has, as ``source`` of an import.
        """
        return self.client.run(self._steps.start(kind, parameters))

    def delete(self, ids: Iterable[str]) -> set[str]:
        """Delete documents; returns the ids that were there."""
        return self.client.run(self._steps.delete(ids))

    def delete_matching(self, wanted: str | Mapping[str, Any]) -> set[str]:
        """Delete the documents that pass a filter, in either form; returns their ids."""
        return self.client.run(self._steps.delete_matching(wanted))

    def delete_document(self, identifier: str, if_match: str | None = None) -> None:
        """Delete a document, where ``if_match`` is given only while it is of that version.

        Raises:
            ConflictError: it is of another version, or is not there.
            NotFoundError: it is not there, and no version was given.
        """
        self.client.run(self._steps.delete_document(identifier, if_match))

    def patch(
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
        return self.client.run(self._steps.patch(identifier, change, if_match))

    def _listed(self, wanted: FilterArgument, whole: bool) -> Iterator[ListedDocument]:
        cursor = None
        while True:
            page = self.client.run(self._steps.page(cursor, wanted, whole))
            yield from page["documents"]
            cursor = page.get("cursor")
            if cursor is None:
                return
