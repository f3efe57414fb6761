"""Searches for requests: on one core, timed, and some of them repeated exactly later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from index.collection.collection import Collection
from index.search.config import SearchConfig
from index.search.deadline import Deadline
from index.search.pipeline import search
from index.search.query import SearchQuery
from index.search.result import SearchResult
from lsr.threads import sharing_cores
from service.api.monitoring import Monitoring
from service.api.recall_probe import RecallProbe
from service.api.schemas.responses import RecallAnswer
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
        collection: Collection,
        query: SearchQuery,
        config: SearchConfig,
        deadline: Deadline,
    ) -> SearchResult:
        """The search of a request; in the thread that searches.

        Raises:
            Exception: as ``search`` of the pipeline.
        """
        with self._monitoring.searching(request, query), sharing_cores():
            with collection.pinned() as view:
                result = search(collection, query, config, deadline)
            if self._probe is not None:
                self._probe.offer(collection, view.revision, query, config, result)
        self._monitoring.searched(result)
        return result

    def recall(self, collection: Collection) -> RecallAnswer | None:
        """What the probe has found of an index; None: nothing yet, or there is none."""
        return None if self._probe is None else self._probe.describe(collection)
