"""A Haystack retriever, and the document store that it searches.

from service.integrations.haystack import LsrDocumentStore, LsrRetriever

store = LsrDocumentStore("pets", url="http://127.0.0.1:8000")
pipeline.add_component("retriever", LsrRetriever(store, top_k=5))
"""

from __future__ import annotations

import asyncio
from typing import Any

import lsr
from index.collection.collection import Collection
from index.qdrant.collection import QdrantCollection
from index.search.hits import Hit
from lsr.encoding.progress import Progress
from lsr.errors import InputError, MissingDependencyError
from service.client.remote_collection import RemoteCollection
from service.integrations.filter_json import ALL_OF, ANY_OF, NONE_OF, compared, joined
from service.integrations.retrieval import (
    SCORE,
    TITLE,
    documents_of,
    fetched,
    metadata_of,
    search,
    text_of,
)

try:
    from haystack import Document, component, default_from_dict, default_to_dict
    from haystack.document_stores.errors import DuplicateDocumentError
    from haystack.document_stores.types import DuplicatePolicy
    from haystack.utils import Secret, deserialize_secrets_inplace
except ImportError as error:
    raise MissingDependencyError("Haystack's retriever", "haystack-ai", "haystack") from error

LOGIC = {"AND": ALL_OF, "OR": ANY_OF}
META = "meta."


class LsrDocumentStore:
    """Documents in an index of a server, or in the directory of a collection, which must be there.

    The ``meta`` of a document is its metadata, but for ``title``, which is its title. Embeddings
    are not kept: the index has encoders of its own. Saved with a pipeline, a key of the environment
    is not.

    Args:
        index: name of the index, or without a ``url`` the directory.
        url: address of the server.
        api_key: what the server knows this client by.
    """

    def __init__(self, index: str, url: str | None = None, api_key: Secret | None = None) -> None:
        self.index, self.url, self.api_key = index, url, api_key
        self._opened: Collection | QdrantCollection | RemoteCollection | None = None

    @property
    def collection(self) -> Collection | QdrantCollection | RemoteCollection:
        """What is searched; opened when it is first needed."""
        if self._opened is None:
            if self.url is None:
                self._opened = lsr.open(self.index)
            else:
                key = None if self.api_key is None else self.api_key.resolve_value()
                self._opened = lsr.Client(self.url, key).open(self.index)
        return self._opened

    def count_documents(self) -> int:
        """How many documents there are."""
        return len(self.collection)

    def write_documents(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """Write documents; without a policy, one takes the place of another of its id.

        Raises:
            DuplicateDocumentError: the policy is to fail, and there is one of these ids; nothing is
                written then.
            InputError: some can't be written; the others are.
        """
        if policy in (DuplicatePolicy.SKIP, DuplicatePolicy.FAIL):
            there = set(fetched(self.collection, [each.id for each in documents]))
            if there and policy is DuplicatePolicy.FAIL:
                raise DuplicateDocumentError(f"there is a document {min(there)!r} already")
            documents = [each for each in documents if each.id not in there]
        rejections = _Rejections()
        into = self.collection if isinstance(self.collection, RemoteCollection) else self.index
        report = lsr.index([_stored(each) for each in documents], into, progress=rejections)
        if rejections.sentences:
            raise InputError(
                f"{report.rejected} of {len(documents)} documents were not written: "
                f"{'; '.join(rejections.sentences[:3])}"
            )
        return len(documents)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete the documents of these ids, where there are such."""
        self.collection.delete(document_ids)

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """The documents that pass a filter, in the order of writing; None: all."""
        wanted = None if filters is None else filter_of(filters)
        found = documents_of(self.collection, wanted)
        return [Document(id=each.id, content=each.text, meta=_meta(each)) for each in found]

    def to_dict(self) -> dict[str, Any]:
        """As Haystack saves it."""
        key = None if self.api_key is None else self.api_key.to_dict()
        saved: dict[str, Any] = default_to_dict(self, index=self.index, url=self.url, api_key=key)
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LsrDocumentStore:
        """As Haystack loads it."""
        deserialize_secrets_inplace(data["init_parameters"], keys=["api_key"])
        loaded: LsrDocumentStore = default_from_dict(cls, data)
        return loaded


@component
class LsrRetriever:
    """Documents of a store that answer a query best, as a component of a pipeline.

    Each has the id of its document, and as its content the passage that was found, or the whole
    text where the document is not split; ``meta`` has the ``title`` too.

    Args:
        document_store: what is searched.
        filters: of Haystack; those of a run take their place.
        top_k: documents wanted.
        settings: others of ``lsr.search`` that JSON can hold, such as ``using`` or ``mode``.
    """

    def __init__(
        self,
        document_store: LsrDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.document_store = document_store
        self.filters, self.top_k, self.settings = filters, top_k, settings or {}

    def to_dict(self) -> dict[str, Any]:
        """As Haystack saves it."""
        saved: dict[str, Any] = default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            settings=self.settings,
        )
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LsrRetriever:
        """As Haystack loads it."""
        parameters = data["init_parameters"]
        parameters["document_store"] = LsrDocumentStore.from_dict(parameters["document_store"])
        loaded: LsrRetriever = default_from_dict(cls, data)
        return loaded

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Search.

        Args:
            query: a text.
            filters: of Haystack, in place of those that it was made with.
            top_k: documents wanted, in place of those that it was made with.
        """
        given = self.filters if filters is None else filters
        wanted = None if given is None else filter_of(given)
        limit = self.top_k if top_k is None else top_k
        hits = search(self.document_store.collection, query, limit, wanted, self.settings)
        return {"documents": [_found(hit) for hit in hits]}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Search, in a thread of its own."""
        found: dict[str, list[Document]] = await asyncio.to_thread(self.run, query, filters, top_k)
        return found


class _Rejections(Progress):
    """Keeps the sentences on what is not written."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def rejected(self, sentence: str) -> None:
        self.sentences.append(sentence)


def filter_of(filters: dict[str, Any]) -> dict[str, Any] | None:
    """Haystack's filter as JSON; None: of none.

    Raises:
        InputError: it is malformed, or looks at something else than ``meta``.
    """
    if not filters:
        return None
    operator = filters.get("operator")
    if "field" not in filters:
        conditions = filters.get("conditions")
        if operator not in (*LOGIC, "NOT") or not isinstance(conditions, list) or not conditions:
            raise InputError(
                "a filter of Haystack has neither a field nor AND, OR or NOT with a list of "
                "conditions; give one of them"
            )
        parts = [part for each in conditions if (part := filter_of(each)) is not None]
        if operator == "NOT":
            return joined(NONE_OF, [joined(ALL_OF, parts)])
        return joined(LOGIC[operator], parts)
    field, value = str(filters["field"]), filters.get("value")
    if not field.startswith(META):
        raise InputError(f"a filter looks at {field!r}; allowed is what begins with {META!r}")
    return compared(field.removeprefix(META), str(operator), value)


def _found(hit: Hit) -> Document:
    meta = metadata_of(hit)
    return Document(id=hit.id, content=text_of(hit), meta=meta, score=meta.pop(SCORE))


def _stored(document: Document) -> lsr.Document:
    meta = dict(document.meta)
    title = meta.pop(TITLE, "")
    if not isinstance(title, str):
        raise InputError(f"the title of the document {document.id!r} is no string; give one")
    return lsr.Document(document.id, document.content or "", title, meta)


def _meta(document: lsr.Document) -> dict[str, Any]:
    titled = {TITLE: document.title} if document.title else {}
    return {**document.metadata, **titled}
