"""A Haystack retriever, and the document store that it searches.

from service.integrations.haystack import LsrDocumentStore, LsrRetriever

store = LsrDocumentStore("pets", url="http://127.0.0.1:8000")
pipeline.add_component("retriever", LsrRetriever(store, top_k=5))
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import lsr
from index.collection.collection import Collection
from index.search.hits import Hit
from lsr.errors import InputError, MissingDependencyError
from service.client.client import RemoteCollection
from service.integrations.filter_json import ALL_OF, ANY_OF, NONE_OF, compared, joined
from service.integrations.retrieval import metadata_of, search, text_of

try:
    from haystack import Document, component, default_from_dict, default_to_dict
    from haystack.document_stores.errors import DuplicateDocumentError
    from haystack.document_stores.types import DuplicatePolicy
    from haystack.utils import Secret, deserialize_secrets_inplace
except ImportError as error:
    raise MissingDependencyError("Haystack's retriever", "haystack-ai", "haystack") from error

LOGIC = {"AND": ALL_OF, "OR": ANY_OF}
META = "meta."
TITLE = "title"


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
        self._opened: Collection | RemoteCollection | None = None

    @property
    def collection(self) -> Collection | RemoteCollection:
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
            there = {each.id for each in documents if self.collection.get(each.id) is not None}
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
        return [_document(each) for each in self.collection.documents(wanted)]

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
