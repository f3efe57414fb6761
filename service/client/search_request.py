"""The JSON of a search, from the arguments that ``lsr.search`` takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from index.search.config import SearchConfig
from index.search.dimension_settings import Dimensions
from index.search.facets import Facet
from index.search.feedback import Feedback
from index.search.fusion import Fusion
from index.search.grouping import Grouping
from index.search.query import SearchQuery
from index.search.reranking import Reranking
from index.search.rewriting import Rewriter
from index.search.sorting import SortKey
from lsr.corpus.qrels import Qrels
from lsr.errors import UsageError

# As the text form, or as the JSON form has it.
FilterArgument: TypeAlias = str | Mapping[str, Any] | None


def query_body(query: str | SearchQuery) -> dict[str, Any]:
    """What is asked, as JSON."""
    if isinstance(query, str):
        return {"text": query}
    body: dict[str, Any] = {}
    if query.text is not None:
        body["text"] = query.text
    if query.tokens is not None:
        body["tokens"] = dict(query.tokens)
    if query.sparse is not None:
        indices, values = query.sparse
        body["sparse"] = {"indices": list(map(int, indices)), "values": list(map(float, values))}
    if query.dense is not None:
        body["dense"] = list(map(float, query.dense))
    if query.like is not None:
        body["like"] = query.like if isinstance(query.like, str) else list(query.like)
    return body


def search_body(
    query: str | SearchQuery,
    limit: int,
    using: str | None,
    filter: FilterArgument,  # noqa: A002
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """A search as JSON; what isn't asked for isn't said, so that the server's defaults hold.

    But whole documents are asked for, as ``lsr.search`` has them.

    Raises:
        UsageError: there is no such setting, or it is none of a server's.
    """
    body: dict[str, Any] = {"query": query_body(query), "limit": limit, "with_payload": True}
    if using is not None:
        body["using"] = using
    if filter is not None:
        body["filter"] = filter if isinstance(filter, str) else dict(filter)
    for name, value in settings.items():
        if name not in SETTINGS:
            raise _unknown(name)
        place, spelled = SETTINGS[name]
        if value is None:
            continue
        *outer, last = place.split(".")
        target = body
        for each in outer:
            target = target.setdefault(each, {})
        given = spelled(value)
        if last in target and isinstance(given, dict):
            target[last] |= given
        else:
            target[last] = given
    return body


def evaluation_body(
    queries: Mapping[str, str],
    qrels: Qrels,
    measures: Sequence[str] | None,
    depth: int,
    per_query: bool,
    run: bool,
    using: str | None,
    filter: FilterArgument,  # noqa: A002
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """An evaluation as JSON; ``using``, ``filter`` and ``settings`` as of ``search_body``."""
    search = search_body("", 1, using, filter, settings)
    del search["query"], search["limit"], search["with_payload"]
    body: dict[str, Any] = {
        "queries": dict(queries),
        "qrels": {query: dict(grades) for query, grades in qrels.items()},
        "search": search,
        "depth": depth,
        "per_query": per_query,
    }
    if measures is not None:
        body["measures"] = list(measures)
    if run:
        body["run"] = "trec"
    return body


def _unknown(name: str) -> UsageError:
    if name in {field.name for field in dataclasses.fields(SearchConfig)}:
        return UsageError(
            f"{name} is no setting of a search on a server, which decides it itself; leave it out"
        )
    return UsageError(f"there is no setting {name!r} of a search; there are: {', '.join(SETTINGS)}")


def _same(value: Any) -> Any:
    return value


def _listed(spelled: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Of one, or of several, each by itself."""

    def each(value: Any) -> Any:
        several = value if isinstance(value, list | tuple) else [value]
        return [spelled(one) for one in several]

    return each


def _payload(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    # Of no part: as without a payload.
    return ([value] if isinstance(value, str) else list(value)) or False


def _sort_key(key: str | SortKey) -> Any:
    if isinstance(key, str):
        return key
    return {"key": key.key, "order": "desc" if key.descending else "asc"}


def _facet(facet: str | Facet) -> Any:
    return facet if isinstance(facet, str) else dataclasses.asdict(facet)


def _grouping(group: str | Grouping) -> Any:
    return group if isinstance(group, str) else dataclasses.asdict(group)


def _feedback(feedback: Feedback) -> Any:
    return {feedback.name: dataclasses.asdict(feedback)}


def _prefetch(part: Any) -> Any:
    body = {"using": part.using, "limit": part.limit}
    return body if part.feedback is None else body | {"feedback": _feedback(part.feedback)}


def _fusion(fusion: Fusion) -> Any:
    return fusion.describe()


def _dimensions(dimensions: Dimensions) -> Any:
    return dataclasses.asdict(dimensions) | {"keys": list(dimensions.keys)}


def _rerank(reranking: Reranking) -> Any:
    return dataclasses.asdict(reranking)


def _rewriter(rewriter: str | Rewriter) -> Any:
    return rewriter if isinstance(rewriter, str) else rewriter.name


# Where each setting stands in the body, and how it is spelled there.
SETTINGS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "offset": ("offset", _same),
    "cursor": ("cursor", _same),
    "prefetch": ("prefetch", _listed(_prefetch)),
    "fusion": ("fusion", _fusion),
    "fusion_depth": ("fusion.depth", _same),
    "feedback": ("feedback", _feedback),
    "dense_weight": ("dense_weight", _same),
    "tuned": ("tuned", _same),
    "dimensions": ("dimensions", _dimensions),
    "rerank": ("rerank", _rerank),
    "rewrite": ("rewrite", _listed(_rewriter)),
    "context_tokens": ("context_tokens", _same),
    "mode": ("params.mode", _same),
    "effort": ("params.effort", _same),
    "time_budget_ms": ("params.timeout_ms", _same),
    "min_score": ("min_score", _same),
    "sort": ("sort", _listed(_sort_key)),
    "group_by": ("group_by", _grouping),
    "facets": ("facets", _listed(_facet)),
    "exact_total": ("exact_total", _same),
    "payload": ("with_payload", _payload),
    "highlight": ("highlight", _same),
    "explain": ("explain", _same),
}
