"""A LlamaIndex retriever.

from service.integrations.llama_index import LsrRetriever

retriever = LsrRetriever(lsr.open("pets"), similarity_top_k=5)
retriever.retrieve("who hunts at night?")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from index.search.hits import Hit
from lsr.errors import MissingDependencyError
from service.integrations.filter_json import ALL_OF, ANY_OF, NONE_OF, compared, exists, joined
from service.integrations.retrieval import Searched, metadata_of, search, search_async, text_of

try:
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
    from llama_index.core.vector_stores import (
        FilterCondition,
        FilterOperator,
        MetadataFilter,
        MetadataFilters,
    )
except ImportError as error:
    raise MissingDependencyError(
        "LlamaIndex's retriever", "llama-index-core", "llama-index"
    ) from error

CONDITIONS = {
    FilterCondition.AND: ALL_OF,
    FilterCondition.OR: ANY_OF,
    FilterCondition.NOT: NONE_OF,
}
# What other names LlamaIndex has for comparisons.
OPERATORS = {"nin": "not in", "any": "in", "contains": "=="}
LISTS = ("in", "not in")


class LsrRetriever(BaseRetriever):
    """Nodes of a collection that answer a query best.

    Each has the id of its document, and as its text the passage that was found, or the whole text
    where the document is not split; ``metadata`` has the ``title`` and the ``score`` too, which
    are not shown to models.

    Args:
        collection: what is searched: of ``lsr.open``, or of ``open`` of a ``Client`` or
            ``AsyncClient``.
        similarity_top_k: nodes wanted.
        filters: of LlamaIndex, or as ``lsr.search`` takes them, in either form.
        settings: others of ``lsr.search``, such as ``using`` or ``mode``.
    """

    def __init__(
        self,
        collection: Searched,
        similarity_top_k: int = 10,
        filters: MetadataFilters | str | Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        wanted = filter_of(filters) if isinstance(filters, MetadataFilters) else filters
        self._asked = collection, similarity_top_k, wanted, settings

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        collection, limit, wanted, settings = self._asked
        query = query_bundle.query_str
        return [_node(hit) for hit in search(collection, query, limit, wanted, settings)]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        collection, limit, wanted, settings = self._asked
        hits = await search_async(collection, query_bundle.query_str, limit, wanted, settings)
        return [_node(hit) for hit in hits]


def filter_of(filters: MetadataFilters) -> dict[str, Any] | None:
    """LlamaIndex's filters as JSON; None: of none.

    Raises:
        InputError: there is an operator that looks into texts.
    """
    parts = [
        filter_of(each) if isinstance(each, MetadataFilters) else _condition(each)
        for each in filters.filters
    ]
    kept = [part for part in parts if part is not None]
    return joined(CONDITIONS[filters.condition or FilterCondition.AND], kept) if kept else None


def _condition(given: MetadataFilter) -> dict[str, Any]:
    operator, key, value = given.operator.value, given.key, given.value
    if given.operator is FilterOperator.IS_EMPTY:
        return exists(key, False)
    if given.operator is FilterOperator.ALL:
        return joined(ALL_OF, [compared(key, "==", each) for each in value or ()])
    operator = OPERATORS.get(operator, operator)
    if operator in LISTS and not isinstance(value, list):
        value = [value]
    return compared(key, operator, value)


def _node(hit: Hit) -> NodeWithScore:
    metadata = metadata_of(hit)
    own = [key for key in ("score", "passage") if key in metadata]
    node = TextNode(
        id_=hit.id,
        text=text_of(hit),
        metadata=metadata,
        excluded_llm_metadata_keys=own,
        excluded_embed_metadata_keys=own,
    )
    return NodeWithScore(node=node, score=hit.score)
