"""The HTTP application: REST API and search page."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.routing import Route

from index.collection.database import may_write
from lsr.distribution import package_version
from lsr.encoding.query_batches import QueryBatches
from lsr.threads import available_cores
from lsr.trusted_code import NO_CODE, TrustedCode
from service.api.access import Access, GuardedApp, add_routes, key_of
from service.api.bodies import BodyBudget
from service.api.compression import Compressed
from service.api.encoders import AllowedEncoders
from service.api.errors import add_error_handlers
from service.api.hosts import AllowedHosts
from service.api.indexes import Indexes
from service.api.long_work import LongWork
from service.api.middleware import Frame
from service.api.monitoring import Monitoring, Observation
from service.api.origins import AllowedOrigins
from service.api.plain_mistakes import TrailingSlash
from service.api.routes import (
    aliases,
    docs,
    documents,
    embedding,
    evaluation,
    health,
    indexes,
    keys,
    lifecycle,
    listing,
    metrics,
    search,
    tasks,
)
from service.api.searching import Searching
from service.api.work import Work
from service.mcp.http import PATH as MCP_PATH
from service.mcp.http import McpEndpoint
from service.replica.state import Replica
from service.settings import ServerSettings
from service.state.database import StateDatabase, state_file
from service.state.idempotency import IdempotencyKeys
from service.state.keys import Keys

if TYPE_CHECKING:
    from service.api.rates import RateLimits

STATIC = Path(__file__).parent.parent / "static"
# For builds of segments in the background, which lose nothing where they are cut.
CLOSING_SECONDS = 2.0
BODY_BYTES = 256 << 20
"""Bytes that the bodies of all requests together may hold."""
WRITERS = 4
READERS_WAITING = 64
WRITERS_WAITING = 16
ROUTERS = (
    # First what is asked most often, for the first route that matches answers.
    search.direct,
    docs.router,
    health.router,
    metrics.router,
    indexes.router,
    lifecycle.router,
    search.router,
    evaluation.router,
    embedding.router,
    listing.router,
    documents.router,
    aliases.router,
    tasks.router,
    tasks.long_work,
    keys.router,
)


def create_app(
    settings: ServerSettings, trusted: TrustedCode = NO_CODE, replica: Replica | None = None
) -> FastAPI:
    """The application over collections; ``trusted`` are the models whose Python code may run.

    With a ``replica`` the collections are its copies, and nobody writes to them.

    Raises:
        InputError: a re-ranker can't be used.
        NotFoundError: a path or a re-ranker does not exist.
        UsageError: an allowed host is no name, an allowed origin is none, or the server's state
            can't be kept.
    """
    hosts = AllowedHosts.of_server(settings.host, settings.allow_host)
    encoders = AllowedEncoders(settings.encoders)
    origins = AllowedOrigins(settings.allow_origin)
    batches = QueryBatches(settings.encoder_queue, settings.encoder_batch)
    served = Indexes(settings.paths, trusted, settings.reranker, batches)
    served.replica = replica
    state = StateDatabase(state_path(settings, served))
    kept = Keys(state, settings.admin_token)
    rates = _rates(settings, state)
    long_work = LongWork(settings, served, state, trusted)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(served.warm_up)
        long_work.start()
        app.state.ready = True
        async with app.state.monitoring.running(), app.state.searching.running():
            yield
        app.state.ready = False
        app.state.readers.abandon()
        await app.state.mcp.close()
        long_work.stop()
        # Apart from the threads of requests, which may all be at work; the process ends anyhow.
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(served.close), CLOSING_SECONDS)
        kept.close()
        if rates is not None:
            rates.close()
        state.close()

    app = FastAPI(
        title="lsr",
        summary="Learned sparse retrieval: search, documents, health.",
        version=package_version(),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.ready = False
    app.state.indexes = served
    app.state.encoders, app.state.long_work = encoders, long_work
    app.state.lifecycle = long_work.lifecycle
    app.state.settings, app.state.database, app.state.keys = settings, state, kept
    app.state.idempotency = IdempotencyKeys(state)
    add_error_handlers(app)
    app.state.readers = Work(max(8, available_cores()), READERS_WAITING, settings.deadline_ms)
    app.state.writers = Work(WRITERS, WRITERS_WAITING, math.inf)
    app.state.budget = BodyBudget(max(BODY_BYTES, settings.largest_body))
    app.add_middleware(Access, keys=kept, without=settings.needs_no_key, rates=rates)
    app.add_middleware(
        Frame,
        hosts=hosts,
        largest_body=settings.largest_body,
        budget=app.state.budget,
        origins=origins,
        tls=settings.tls_cert is not None,
    )
    app.add_middleware(TrailingSlash)
    app.add_middleware(Compressed)
    monitoring = Monitoring(settings, served, long_work.tasks, app.state.readers, app.state.writers)
    app.state.monitoring = monitoring
    app.state.searching = Searching(settings, state, monitoring)
    app.add_middleware(Observation, monitoring=monitoring)
    for router in ROUTERS:
        add_routes(app, router)
    app.state.mcp = McpEndpoint(served, app.state.readers, lambda request: key_of(request).reaches)
    guarded = GuardedApp(app.state.mcp, "mcp")
    app.router.routes.append(Route(MCP_PATH, endpoint=guarded, methods=["POST"]))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    return app


def state_path(settings: ServerSettings, served: Indexes) -> Path | None:
    """The file of a server's state: the setting, or beside the collections of the first folder.

    None: it is kept for as long as the server runs. There is no such folder, or it can't be written
    to and has no state, so that nothing that was kept is passed over.
    """
    if settings.state is not None:
        return settings.state
    if served.folder is None:
        return None
    file = state_file(served.folder)
    place = file.parent if file.parent.exists() else served.folder
    return file if file.exists() or may_write(place) else None


def _rates(settings: ServerSettings, state: StateDatabase) -> RateLimits | None:
    """How often one may ask, counted beside the state."""
    if settings.rate_by_key is None and settings.rate_by_address is None:
        return None
    from service.api.rates import RateLimits

    file = state.path.with_name(f"{state.path.name}-rates")
    return RateLimits(file, settings.rate_by_key, settings.rate_by_address)
