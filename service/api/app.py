"""The HTTP application: REST API and search page."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from lsr.distribution import package_version
from lsr.threads import available_cores
from lsr.trusted_code import NO_CODE, TrustedCode
from service.api.bodies import BodyBudget
from service.api.errors import add_error_handlers
from service.api.hosts import AllowedHosts
from service.api.indexes import Indexes
from service.api.middleware import Frame
from service.api.plain_mistakes import TrailingSlash
from service.api.routes import (
    documents,
    embedding,
    evaluation,
    health,
    indexes,
    listing,
    search,
)
from service.api.work import Work
from service.settings import ServerSettings
from service.state.database import FILE, FOLDER, StateDatabase
from service.state.idempotency import IdempotencyKeys

STATIC = Path(__file__).parent.parent / "static"
# For builds of segments in the background, which lose nothing where they are cut.
CLOSING_SECONDS = 2.0
BODY_BYTES = 256 << 20
"""Bytes that the bodies of all requests together may hold."""
WRITERS = 4
READERS_WAITING = 64
WRITERS_WAITING = 16
ROUTERS = (
    health.router,
    indexes.router,
    search.router,
    evaluation.router,
    embedding.router,
    listing.router,
    documents.router,
)


def create_app(settings: ServerSettings, trusted: TrustedCode = NO_CODE) -> FastAPI:
    """The application over collections; ``trusted`` are the models whose Python code may run.

    Raises:
        InputError: a re-ranker can't be used.
        NotFoundError: a path or a re-ranker does not exist.
        UsageError: an allowed host is no name, or the server's state can't be kept.
    """
    hosts = AllowedHosts.of_server(settings.host, settings.allow_host)
    served = Indexes(settings.paths, trusted, settings.reranker)
    state = StateDatabase(settings.state or _state_file(served))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(served.warm_up)
        app.state.ready = True
        yield
        app.state.ready = False
        app.state.readers.abandon()
        # Apart from the threads of requests, which may all be at work; the process ends anyhow.
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(served.close), CLOSING_SECONDS)
        state.close()

    app = FastAPI(
        title="lsr",
        summary="Learned sparse retrieval: search, documents, health.",
        version=package_version(),
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.ready = False
    app.state.indexes = served
    app.state.settings, app.state.database = settings, state
    app.state.idempotency = IdempotencyKeys(state)
    add_error_handlers(app)
    app.state.readers = Work(max(8, available_cores()), READERS_WAITING, settings.deadline_ms)
    app.state.writers = Work(WRITERS, WRITERS_WAITING, math.inf)
    app.state.budget = BodyBudget(max(BODY_BYTES, settings.largest_body))
    app.add_middleware(
        Frame,
        hosts=hosts,
        largest_body=settings.largest_body,
        budget=app.state.budget,
    )
    app.add_middleware(TrailingSlash)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    return app


def _state_file(served: Indexes) -> Path | None:
    """Beside the collections of the first folder, if one is served."""
    return None if served.folder is None else served.folder / FOLDER / FILE
