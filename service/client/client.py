"""The client: a server's indexes, with the names that ``lsr`` and a ``Collection`` have."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from index.search.facets import Facet, FacetCounts
from index.search.query import SearchQuery
from index.search.result import SearchResult
from lsr.corpus.documents import Document
from lsr.corpus.items import Item, given_items
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


class Client:
    """A server of ``lsr serve``, and the collections that it serves, which it calls indexes.

    ``open`` gives a collection that ``lsr.search`` and ``lsr.index`` take as they take one of
    ``lsr.open``. Safe to use from several threads; connections are kept until ``close``, or the
    end of the block.

    Args:
        url: address of the server.
        key: what the server knows this client by; it is sent with every request.
        timeout_ms: milliseconds for an answer to what changes nothing.
        write_timeout_ms: milliseconds for an answer to a write, of which encoding may be a part.
        retries: how often a request is sent again where the server is busy, as its Retry-After
            says, or the connection is lost. Every request may be sent twice without harm.
        ca_file: certificates that are trusted in place of the usual ones, PEM.

    Every method raises the ``LsrError`` that the server tells of, with its sentence, and
    ``UnavailableError`` where the server can't be reached or stays busy.

    Raises:
        InputError: a number is out of its range, or the key is none.
        MissingDependencyError: httpx is not installed.
        UsageError: the address is none, or the certificates can't be read.
    """

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
        self._http = httpx_module().Client(**self.connection.http)
        self._steps = ServerSteps(retries)

    def __repr__(self) -> str:
        return f"Client({self.connection.url!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def open(self, name: str) -> RemoteCollection:
        """The index of that name.

        Raises:
            NotFoundError: there is none.
        """
        collection = RemoteCollection(self, name)
        collection.describe()
        return collection

    def indexes(self) -> list[IndexAnswer | BrokenIndex]:
        """All indexes with their fields and numbers of documents, or what is wrong with them."""
        return self.run(self._steps.indexes())

    def create(
        self,
        name: str,
        encoder: str | None = None,
        dense: str | None = None,
        bm25: bool = False,
        *,
        passages: str = "auto",
        language: str | None = None,
    ) -> RemoteCollection:
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
        self.run(self._steps.create(name, settings))
        return RemoteCollection(self, name)

    def delete(self, name: str) -> None:
        """Delete an index with all its documents and aliases; its snapshots stay.

        Raises:
            NotFoundError: there is none.
        """
        self.run(self._steps.delete(name))

    def aliases(self) -> dict[str, str]:
        """The index of each alias, which is another name for it in every call."""
        return self.run(self._steps.aliases())

    def change_aliases(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        """Point aliases to indexes, or remove them (None), all in one instant; all there are then.

        Raises:
            NotFoundError: there is no such index; nothing is changed then.
        """
        return self.run(self._steps.change_aliases(changes))

    def task(self, identifier: str) -> TaskAnswer:
        """Long work as it is now.

        Raises:
            NotFoundError: there is none of this id.
        """
        return self.run(self._steps.task(identifier))

    def cancel(self, identifier: str) -> TaskAnswer:
        """Cancel long work: at once where it waits, else at its next step.

        Raises:
            ConflictError: it has ended.
        """
        return self.run(self._steps.cancel(identifier))

    def finished(self, task: TaskAnswer) -> TaskAnswer:
        """Long work once it has ended, well or not, as its ``status`` and ``error`` say."""
        return self.run(self._steps.finished(task))

    def run(self, steps: Steps[T]) -> T:
        """Take steps to their end."""
        outcome: Answer | Lost | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                outcome = None
            else:
                outcome = self._send(step)

    def _send(self, request: Request) -> Answer | Lost:
        body = Body()
        try:
            with self._http.stream(**self.connection.sent(request)) as response:
                for part in response.iter_bytes():
                    body.add(part)
                return Answer(response.status_code, response.headers, bytes(body))
        except httpx_module().HTTPError as error:
            return self.connection.lost(error, request)


class RemoteCollection:
    """An index of a server, with the names of a ``Collection``."""

    def __init__(self, client: Client, name: str) -> None:
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

    def get(self, identifier: str) -> Document | None:
        """The document of that id, or None."""
        return self.client.run(self._steps.get(identifier))

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
            kind: ``import``, ``reencode``, ``merge``, ``snapshot``, ``restore`` or ``check``.
            parameters: what the body of its route has, as ``source`` of an import.
        """
        return self.client.run(self._steps.start(kind, parameters))

    def delete(self, ids: Iterable[str]) -> set[str]:
        """Delete documents; returns the ids that were there."""
        return self.client.run(self._steps.delete(ids))

    def delete_matching(self, wanted: str | Mapping[str, Any]) -> set[str]:
        """Delete the documents that pass a filter, in either form; returns their ids."""
        return self.client.run(self._steps.delete_matching(wanted))

    def patch(self, identifier: str, change: Mapping[str, Any]) -> bool:
        """Change a part of a document.

        Args:
            identifier: of the document.
            change: of ``title``, ``text`` and ``metadata``, as a JSON merge patch.

        Returns:
            Whether the document was another before.

        Raises:
            InputError: the change would make it none.
            NotFoundError: there is no such document.
        """
        return self.client.run(self._steps.patch(identifier, change))

    def _listed(self, wanted: FilterArgument, whole: bool) -> Iterator[ListedDocument]:
        cursor = None
        while True:
            page = self.client.run(self._steps.page(cursor, wanted, whole))
            yield from page["documents"]
            cursor = page.get("cursor")
            if cursor is None:
                return
