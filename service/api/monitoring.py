"""What is watched of a server at work: metrics, the log of requests, spans."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sized
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from index.search.query import SearchQuery
from index.search.result import SearchResult
from service.api.errors import CLIENT_GONE, request_id
from service.api.indexes import Indexes
from service.api.query_cache import QueryCache
from service.api.work import Work
from service.logs import log_access, request_of_record
from service.settings import ServerSettings
from service.state.tasks import Tasks

if TYPE_CHECKING:
    from service.api.metrics import Metrics
    from service.api.tracing import Tracing

SAMPLE_SECONDS = 1.0
# After the last request has moved, in which nothing counts as idle.
IDLE_SECONDS = 0.005


class Monitoring:
    """Watches one worker of a server.

    Raises:
        MissingDependencyError: tracing is asked for, and OpenTelemetry is not installed.
        UsageError: the environment names an exporter of spans that there isn't.
    """

    def __init__(
        self,
        settings: ServerSettings,
        indexes: Indexes,
        tasks: Tasks,
        readers: Work,
        writers: Work,
    ) -> None:
        self._indexes = indexes
        self._last = 0.0
        self._work = {"read": readers, "write": writers}
        self.logs_access, self._logs_queries = settings.access_log, settings.log_queries
        self.metrics: Metrics | None = None
        self.tracing: Tracing | None = None
        self.cache: QueryCache | None = None
        self.connections: Sized = ()
        """Those of clients, for whoever has them to say."""
        # Neither is imported where nobody asks for it.
        if settings.metrics:
            from service.api.index_metrics import IndexMetrics
            from service.api.metrics import Metrics
            from service.api.task_metrics import TaskMetrics

            self.metrics = Metrics([IndexMetrics(indexes), TaskMetrics(tasks)])
        if settings.tracing:
            from service.api.tracing import Tracing

            self.tracing = Tracing()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For as long as the application answers."""
        sampling = asyncio.create_task(self._sample_again_and_again())
        try:
            yield
        finally:
            sampling.cancel()
            if self.tracing is not None:
                await asyncio.to_thread(self.tracing.close)

    def sample(self) -> None:
        """Note how much is at work now."""
        if self.metrics is not None:
            for kind, work in self._work.items():
                self.metrics.sample(kind, work)
            if self._indexes.batches is not None:
                self.metrics.sample_encoder(self._indexes.batches)
            if self.cache is not None:
                self.metrics.cache_holds(self.cache.bytes)
            self.metrics.connected(len(self.connections))

    def at_work(self) -> bool:
        """Whether any request is, or was a moment ago: brief ones run in no thread."""
        if time.perf_counter() - self._last < IDLE_SECONDS:
            return True
        return any(work.running or work.waiting for work in self._work.values())

    def asked(self, request: Request, query: SearchQuery) -> None:
        """Note the text of a query for the log, if it may be there."""
        if self._logs_queries:
            request.state.query = query.text

    def stages(self, request: Request) -> AbstractContextManager[None]:
        """Spans of the stages of the searches inside, which this thread does for a request."""
        span = getattr(request.state, "span", None)
        return self.tracing.stages(span) if self.tracing and span else nullcontext()

    def moved(self, now: float) -> None:
        """A request has begun or ended now, by ``time.perf_counter``."""
        self._last = now

    def looked_up(self, found: bool) -> None:
        """Count a request for which an answer may have been kept."""
        if self.metrics is not None:
            self.metrics.looked_up(found)

    def searched(self, result: SearchResult) -> None:
        """Count a search."""
        if self.metrics is not None:
            self.metrics.searched(result.stages_ms)

    async def _sample_again_and_again(self) -> None:
        while self.metrics is not None:
            self.sample()
            await asyncio.sleep(SAMPLE_SECONDS)


class Observation:
    """Counts, times, logs and traces every request, refused ones included."""

    def __init__(self, app: ASGIApp, monitoring: Monitoring) -> None:
        self.app = app
        self.monitoring = monitoring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        request = Request(scope)
        request_of_record.set(request_id(request))
        monitoring = self.monitoring
        monitoring.moved(started)
        if monitoring.tracing is not None:
            span = monitoring.tracing.begin(scope["method"], scope["path"], request.headers)
            request.state.span = span
        status, sent = CLIENT_GONE, 0

        async def send_counted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, send_counted)
        except Exception:
            # Whatever is around answers so.
            status = 500
            raise
        finally:
            ended = time.perf_counter()
            monitoring.moved(ended)
            self._observed(request, status, sent, ended - started)

    def _observed(self, request: Request, status: int, sent: int, seconds: float) -> None:
        monitoring, method = self.monitoring, request.method
        route = getattr(request.scope.get("route"), "path_format", None)
        if monitoring.metrics is not None:
            monitoring.metrics.answered(method, route, status, seconds)
        if not monitoring.logs_access and monitoring.tracing is None:
            return
        members: dict[str, Any] = {
            "client": request.client.host if request.client else None,
            "method": method,
            "path": request.scope["path"],
            "status": status,
            "duration_ms": round(1000 * seconds, 3),
            "bytes": sent,
            "request_id": request_id(request),
            "key": getattr(getattr(request.state, "key", None), "id", "") or None,
            "query": getattr(request.state, "query", None),
        }
        if monitoring.tracing is not None:
            monitoring.tracing.end(request.state.span, members, route, status)
        if monitoring.logs_access:
            log_access(members)
