"""The HTTP application: REST API and search page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from lsr.distribution import package_version
from lsr.trusted_code import NO_CODE, TrustedCode
from service.api.errors import add_error_handlers
from service.api.indexes import Indexes
from service.api.middleware import Frame
from service.api.routes import documents, health, indexes, search

STATIC = Path(__file__).parent.parent / "static"
LARGEST_BODY = 64 << 20
ROUTERS = (health.router, indexes.router, search.router, documents.router)


def create_app(
    paths: Sequence[Path], largest_body: int = LARGEST_BODY, trusted: TrustedCode = NO_CODE
) -> FastAPI:
    """The application over collections.

    Args:
        paths: directories of collections, or folders of such directories.
        largest_body: bytes of the largest request body that is read.
        trusted: the models whose Python code may run.

    Raises:
        NotFoundError: a path does not exist.
    """
    served = Indexes(paths, trusted)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(served.warm_up)
        app.state.ready = True
        yield
        app.state.ready = False
        await run_in_threadpool(served.close)

    app = FastAPI(
        title="lsr",
        summary="Learned sparse retrieval: search, documents, health.",
        version=package_version(),
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.ready = False
    app.state.indexes = served
    app.state.largest_body = largest_body
    add_error_handlers(app)
    app.add_middleware(Frame, largest_body=largest_body)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    return app
