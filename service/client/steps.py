"""What each method of the clients does, as steps: requests, and what is read of their answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar
from urllib.parse import quote

from index.search.facets import FacetCounts
from index.search.query import SearchQuery
from index.search.result import SearchResult
from lsr.corpus.documents import Document
from lsr.errors import InputError, LsrError
from lsr.sparse import SparseVector
from service.client.bulk import Bulk, Part
from service.client.errors import error_of
from service.client.exchange import (
    Answer,
    Pause,
    Request,
    Steps,
    exchange,
    reading,
    with_header,
    writing,
)
from service.client.retries import Attempts
from service.client.search_answer import document_of, facet_of, result_of
from service.client.search_request import SETTINGS, FilterArgument, query_body, search_body

if TYPE_CHECKING:
    from service.api.schemas.evaluation import EvaluateAnswer
    from service.api.schemas.explanation import ExplainAnswer
    from service.api.schemas.listing import ListingAnswer
    from service.api.schemas.responses import IndexDetails
    from service.api.schemas.tasks import TaskAnswer

T = TypeVar("T")
EmbeddingKind: TypeAlias = Literal["document", "query"]
NOTHING_THERE, TOO_LARGE = 404, 413
AT_ONCE, MOST_SEARCHES, MOST_EMBEDDED = 200, 100, 256
"""Documents that are listed or fetched, searches that are made and texts that are encoded, by one
request."""


class IndexSteps:
    """The steps on one index."""

    def __init__(self, name: str, retries: int) -> None:
        self.name = name
        self._path = f"/v1/indexes/{segment(name)}"
        self._retries = retries

    def describe(self) -> Steps[IndexDetails]:
        """Name, number of documents, fields and metadata keys."""
        return exchange(reading("GET", self._path), Answer.json, self._retries)

    def search(
        self,
        query: str | SearchQuery,
        limit: int,
        using: str | None,
        filter: FilterArgument,  # noqa: A002
        settings: Mapping[str, Any],
    ) -> Steps[SearchResult]:
        """One search."""
        body = search_body(query, limit, using, filter, settings)
        request = reading("POST", f"{self._path}/search", body)
        return exchange(request, lambda answer: result_of(answer.json()), self._retries)

    def search_batch(
        self,
        queries: Iterable[str | SearchQuery],
        limit: int,
        using: str | None,
        filter: FilterArgument,  # noqa: A002
        settings: Mapping[str, Any],
    ) -> Steps[list[SearchResult]]:
        """Several searches; the error of the first that can't be."""
        bodies = [search_body(query, limit, using, filter, settings) for query in queries]
        results = []
        for start in range(0, len(bodies), MOST_SEARCHES):
            body = {"searches": bodies[start : start + MOST_SEARCHES]}
            request = reading("POST", f"{self._path}/search/batch", body)
            answer = yield from exchange(request, Answer.json, self._retries)
            for each in answer["answers"]:
                if "error" in each:
                    raise error_of(each["error"]["code"], {}, json.dumps(each).encode())
                results.append(result_of(each))
        return results

    def explain(
        self,
        identifier: str,
        query: str | SearchQuery,
        using: str | None,
        filter: FilterArgument,  # noqa: A002
        settings: Mapping[str, Any],
    ) -> Steps[ExplainAnswer]:
        """Why a document stands where it does."""
        body = search_body(query, 1, using, filter, settings) | {"id": identifier}
        del body["limit"], body["with_payload"]
        request = reading("POST", f"{self._path}/explain", body)
        return exchange(request, Answer.json, self._retries)

    def facets(
        self,
        facets: Iterable[Any],
        query: str | SearchQuery | None,
        using: str | None,
        filter: FilterArgument,  # noqa: A002
    ) -> Steps[list[FacetCounts]]:
        """How many documents have each value of some keys."""
        body: dict[str, Any] = {"facets": SETTINGS["facets"][1](list(facets))}
        given = {"using": using, "filter": filter}
        body |= {name: value for name, value in given.items() if value is not None}
        if query is not None:
            body["query"] = query_body(query)
        request = reading("POST", f"{self._path}/facets", body)
        return exchange(
            request,
            lambda answer: [facet_of(each) for each in answer.json()["facets"]],
            self._retries,
        )

    def evaluate(self, body: Mapping[str, Any]) -> Steps[EvaluateAnswer]:
        """How well judged queries are answered."""
        request = reading("POST", f"{self._path}/evaluate", dict(body))
        return exchange(request, Answer.json, self._retries)

    def embed_sparse(
        self, texts: Iterable[str], kind: EmbeddingKind, using: str | None, truncate: bool
    ) -> Steps[list[SparseVector]]:
        """The vectors of texts."""
        if isinstance(texts, str):
            raise InputError("the texts are one string; give a list of texts")
        wanted, found = list(texts), list[SparseVector]()
        shared = {"index": self.name, "type": kind, "truncate": truncate}
        shared |= {} if using is None else {"using": using}
        for start in range(0, len(wanted), MOST_EMBEDDED):
            body = {"inputs": wanted[start : start + MOST_EMBEDDED], **shared}
            request = reading("POST", "/v1/embed_sparse", body)
            try:
                found += yield from exchange(request, _vectors, self._retries)
            except LsrError as error:
                if start:
                    error.add_note(f"It is about the texts from number {start + 1} on.")
                raise
        return found

    def get(self, identifier: str) -> Steps[Document | None]:
        """The document of that id, or None; of an index that is gone, the error."""
        found = yield from self.versioned(identifier)
        return None if found is None else found[0]

    def versioned(self, identifier: str) -> Steps[tuple[Document, str] | None]:
        """The same with the tag of its version."""
        request = reading("GET", self._document(identifier))
        answer = yield from exchange(request, _whole, self._retries, also=NOTHING_THERE)
        if answer.status == NOTHING_THERE:
            yield from self.describe()
            return None
        return document_of(answer.json()), answer.headers["etag"]

    def fetch(self, ids: Iterable[str]) -> Steps[dict[str, Document]]:
        """The documents of those ids that are there, in their order."""
        wanted, found = list(ids), dict[str, Document]()
        for start in range(0, len(wanted), AT_ONCE):
            body = {"ids": wanted[start : start + AT_ONCE]}
            request = reading("POST", f"{self._path}/documents/get", body)
            answer = yield from exchange(request, Answer.json, self._retries)
            found |= {each["id"]: document_of(each) for each in answer["documents"]}
        return found

    def page(
        self,
        cursor: str | None,
        filter: FilterArgument,  # noqa: A002
        whole: bool,
    ) -> Steps[ListingAnswer]:
        """A page of the documents in the order of writing, whole or without their contents."""
        parameters = {"limit": str(AT_ONCE), "with_payload": "true" if whole else "false"}
        if cursor is not None:
            parameters["cursor"] = cursor
        if filter is not None:
            parameters["filter"] = filter if isinstance(filter, str) else json.dumps(filter)
        request = reading("GET", f"{self._path}/documents", **parameters)
        return exchange(request, Answer.json, self._retries)

    def start(self, kind: str, parameters: Mapping[str, Any]) -> Steps[TaskAnswer]:
        """Begin long work."""
        name = "snapshots" if kind == "snapshot" else kind
        # Without it this one is answered at once, and is no task.
        later = {"wait": "false"} if kind == "evaluate" else {}
        request = writing(
            "POST", f"{self._path}/{segment(name)}", dict(parameters) or None, **later
        )
        return exchange(request, Answer.json, self._retries)

    def delete(self, ids: Iterable[str]) -> Steps[set[str]]:
        """Delete documents; the ids that were there."""
        wanted = list(ids)
        if not wanted:
            yield from self.describe()
            return set()
        return (yield from self._deleted({"ids": wanted}))

    def delete_matching(self, wanted: str | Mapping[str, Any]) -> Steps[set[str]]:
        """Delete what passes a filter; the ids."""
        given = wanted if isinstance(wanted, str) else dict(wanted)
        return self._deleted({"filter": given})

    def delete_document(self, identifier: str, if_match: str | None) -> Steps[None]:
        """Delete a document, of a version where one is given."""
        request = writing("DELETE", self._document(identifier))
        return self._changed(request, if_match, lambda _: None)

    def patch(
        self, identifier: str, change: Mapping[str, Any], if_match: str | None
    ) -> Steps[bool]:
        """Change a part of a document, of a version where one is given; whether it was another."""
        request = writing("PATCH", self._document(identifier), dict(change))
        return self._changed(
            request, if_match, lambda answer: bool(answer.json()["result"] == "updated")
        )

    def upsert(self, bulk: Bulk, part: Part) -> Steps[None]:
        """Write a part; in smaller ones where it is too large, and again what was not written."""
        attempts, waiting = Attempts(self._retries), [part]
        while waiting:
            part = waiting.pop(0)
            request = writing("POST", f"{self._path}/documents", part.body)
            answer = yield from exchange(request, _whole, self._retries, also=TOO_LARGE)
            if answer.status == TOO_LARGE:
                waiting[:0] = bulk.too_large(part, error_of(*answer))
                continue
            again, error = bulk.answered(part, answer.json())
            if again is not None and error is not None:
                waiting.insert(0, again)
                yield Pause(attempts.failed(error))

    def _deleted(self, body: Mapping[str, Any]) -> Steps[set[str]]:
        request = writing("POST", f"{self._path}/documents/delete", dict(body))
        return exchange(request, lambda answer: set(answer.json()["ids"]), self._retries)

    def _changed(
        self, request: Request, if_match: str | None, read: Callable[[Answer], T]
    ) -> Steps[T]:
        if if_match is None:
            return exchange(request, read, self._retries)
        return exchange(with_header(request, "If-Match", if_match), read, self._retries, once=True)

    def _document(self, identifier: str) -> str:
        return f"{self._path}/documents/{segment(identifier)}"


def segment(name: str) -> str:
    """A name as a part of a path, whatever it holds; dots alone would be taken out of it."""
    quoted = quote(name, safe="")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")


def _vectors(answer: Answer) -> list[SparseVector]:
    return [
        SparseVector.from_mapping({term["index"]: term["value"] for term in each})
        for each in answer.json()
    ]


def _whole(answer: Answer) -> Answer:
    return answer
