"""A LangChain retriever.

from service.integrations.langchain import LsrRetriever

retriever = LsrRetriever(collection=lsr.open("pets"), k=5)
retriever.invoke("who hunts at night?")
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from lsr.errors import MissingDependencyError
from service.integrations.retrieval import (
    FilterArgument,
    Searched,
    metadata_of,
    search,
    search_async,
    text_of,
)

try:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
except ImportError as error:
    raise MissingDependencyError("LangChain's retriever", "langchain-core", "langchain") from error


class LsrRetriever(BaseRetriever):
    """Documents of a collection that answer a query best.

    Each has the id of its document, and as its content the passage that was found, or the whole
    text where the document is not split; ``metadata`` has the ``title`` and the ``score`` too.
    ``invoke`` and ``ainvoke`` take ``k``, ``filter`` and any setting of a search for one call.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    collection: Searched
    """What is searched: of ``lsr.open``, or of ``open`` of a ``Client`` or ``AsyncClient``."""
    k: int = 10
    """Documents wanted."""
    filter: FilterArgument = None
    """In its text form or its JSON form."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Others of ``lsr.search``, such as ``using`` or ``mode``."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **settings: Any
    ) -> list[Document]:
        return [_document(hit) for hit in search(*self._asked(query, settings))]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **settings: Any
    ) -> list[Document]:
        return [_document(hit) for hit in await search_async(*self._asked(query, settings))]

    def _asked(self, query: str, settings: dict[str, Any]) -> tuple[Any, ...]:
        asked = {"k": self.k, "filter": self.filter, **self.settings, **settings}
        return self.collection, query, asked.pop("k"), asked.pop("filter"), asked


def _document(hit: Any) -> Document:
    return Document(id=hit.id, page_content=text_of(hit), metadata=metadata_of(hit))
