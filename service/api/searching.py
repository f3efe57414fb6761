"""Searches for requests: on one core, timed, their answers kept, some repeated exactly later."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from index.collection.writable import Writable
from index.search.config import SearchConfig
from index.search.deadline import Deadline
from index.search.pipeline import search, search_batch
from index.search.query import SearchQuery
from index.search.result import SearchResult
from lsr.threads import sharing_cores
from service.api.monitoring import Monitoring
from service.api.parted_json import PartedJSONResponse, joined, json_members
from service.api.query_cache import QueryCache
from service.api.recall_probe import RecallProbe
from service.api.schemas.responses import RecallAnswer
from service.api.schemas.search_answer import SearchAnswer, SearchMeta
from service.settings import ServerSettings
from service.state.database import StateDatabase


class Searching:
    """What is done for each search, beside searching."""

    def __init__(
        self, settings: ServerSettings, state: StateDatabase, monitoring: Monitoring
    ) -> None:
        self._monitoring = monitoring
        self._probe = (
            RecallProbe(state, settings.recall_probe, monitoring.at_work, monitoring.metrics)
            if settings.recall_probe
            else None
        )
        self._cache = QueryCache(settings.query_cache) if settings.query_cache else None
        monitoring.cache = self._cache

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For as long as the application answers."""
        if self._probe is not None:
            self._probe.start()
        try:
            yield
        finally:
            if self._probe is not None:
                await run_in_threadpool(self._probe.close)

    def search(
        self,
        request: Request,
        collection: Writable,
        query: SearchQuery,
        config: SearchConfig,
        deadline: Deadline,
    ) -> SearchResult:
        """The search of a request; in the thread that searches.

        Raises:
            Exception: as ``search`` of the pipeline.
        """
        self._monitoring.asked(request, query)
        with self._monitoring.stages(request), sharing_cores():
            with collection.pinned() as view:
                result = search(collection, query, config, deadline)
            if self._probe is not None:
                self._probe.offer(collection, view.revision, query, config, result)
        self._monitoring.searched(result)
        return result

    def search_several(
        self,
        request: Request,
        collection: Writable,
        queries: Sequence[SearchQuery],
        config: SearchConfig,
        deadline: Deadline,
    ) -> list[SearchResult]:
        """Several searches of a request that differ in their queries alone, as ``search``.

        Raises:
            Exception: as ``search_batch`` of the pipeline.
        """
        with self._monitoring.stages(request), sharing_cores():
            results = search_batch(collection, queries, config, deadline)
        for result in results:
            self._monitoring.searched(result)
        return results

    def answer(
        self,
        request: Request,
        collection: Writable,
        query: SearchQuery,
        asked: bytes,
        fresh: Callable[[], tuple[SearchAnswer, bool]],
    ) -> Response:
        """The answer to a request of this body, kept or fresh; in the thread that searches.

        ``fresh`` says with an answer whether it may be kept.
        """
        if self._cache is None:
            return PartedJSONResponse(fresh()[0])
        started = time.perf_counter()
        with collection.pinned() as view:
            kept = self._cache.get(collection, view.revision, asked)
            self._monitoring.looked_up(kept is not None)
            if kept is not None:
                self._monitoring.asked(request, query)
                took_ms = round(1000 * (time.perf_counter() - started), 3)
                return _response(b'"took_ms":%b,%b' % (str(took_ms).encode(), kept))
            answer, may_be_kept = fresh()
            members = json_members(answer)
            if may_be_kept:
                again: SearchMeta = {**answer["meta"], "stages_ms": {}, "cached": True}
                later = {**members, **json_members({"meta": again})}
                del later["took_ms"]
                self._cache.keep(collection, view.revision, asked, joined(later))
            return _response(joined(members))

    def recall(self, collection: Writable) -> RecallAnswer | None:
        """What the probe has found of an index; None: nothing yet, or there is none."""
        return None if self._probe is None else self._probe.describe(collection)


def _response(members: bytes) -> Response:
    return Response(b"{%b}" % members, media_type="application/json")
