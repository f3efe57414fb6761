"""The HTTP application: REST API and search page."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import fastapi
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.encoders.imported import IMPORTED
from lsr.errors import LsrError, NotFoundError
from service.api.bulk import bulk_upsert
from service.api.errors import add_error_handlers, error_response, request_id
from service.api.indexes import Indexes
from service.api.schemas import DeleteBody, ErrorBody, SearchBody, search_json

STATIC = Path(__file__).parent.parent / "static"
LARGEST_BODY = 64 << 20
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (400, 404, 409, 413, 422, 500)
}
log = logging.getLogger(__name__)
Name = Annotated[str, fastapi.Path(description="Name of the index: its directory's name")]


def create_app(paths: Sequence[Path], largest_body: int = LARGEST_BODY) -> FastAPI:
    """The application over collections.

    Args:
        paths: directories of collections, or folders of such directories.
        largest_body: bytes of the largest request body that is read.

    Raises:
        NotFoundError: a path does not exist.
    """
    indexes = Indexes(paths)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(_warm_up, indexes)
        app.state.ready = True
        yield
        app.state.ready = False
        await run_in_threadpool(indexes.close)

    app = FastAPI(
        title="lsr",
        summary="Learned sparse retrieval: search, documents, health.",
        version=package_version(),
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.ready = False
    app.state.indexes = indexes
    add_error_handlers(app)
    _add_middleware(app, largest_body)
    _add_health(app)
    _add_search(app, indexes)
    _add_documents(app, indexes, largest_body)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    return app


def package_version() -> str:
    """Version of this package, for the OpenAPI document."""
    from importlib.metadata import version

    return version("lsr")


def _warm_up(indexes: Indexes) -> None:
    """Search every collection once, so that the first query finds its models loaded."""
    for name in indexes.names():
        try:
            collection = indexes[name]
            imported = any(field.encoder == IMPORTED for field in collection.fields)
            search(collection, SearchQuery("warm up", sparse=([], []) if imported else None))
        except LsrError as error:
            log.warning("the index %r can't be searched: %s", name, error)


def _add_middleware(app: FastAPI, largest_body: int) -> None:
    @app.middleware("http")
    async def frame(request: Request, call_next: Any) -> Response:
        identifier = request_id(request)
        length = request.headers.get("content-length", "0")
        response: Response
        if length.isdigit() and int(length) > largest_body:
            message = f"the body has {length} bytes; allowed are {largest_body}; send less at once"
            response = error_response(request, 413, "too_large", message)
        elif _from_another_site(request):
            message = "requests of pages from other sites are refused; call from this server's page"
            response = error_response(request, 403, "forbidden", message)
        else:
            response = await call_next(request)
        response.headers["X-Request-ID"] = identifier
        if not request.url.path.startswith(("/docs", "/openapi.json")):
            response.headers.update(SECURITY_HEADERS)
        return response


def _from_another_site(request: Request) -> bool:
    """Whether a browser sent this for a page that is not of this server."""
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


def _add_health(app: FastAPI) -> None:
    @app.get("/livez", tags=["health"])
    def livez() -> dict[str, str]:
        """The process is up."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], responses={503: {"model": ErrorBody}})
    def readyz() -> dict[str, str]:
        """All indexes are open and their encoders loaded."""
        if not app.state.ready:
            raise HTTPException(503, "the indexes are still being opened; try again soon")
        return {"status": "ok"}


def _add_search(app: FastAPI, indexes: Indexes) -> None:
    @app.get("/v1/indexes", tags=["indexes"])
    def list_indexes() -> dict[str, list[dict[str, Any]]]:
        """All indexes with their fields and numbers of documents."""
        return {"indexes": [indexes.describe(name) for name in indexes.names()]}

    @app.get("/v1/indexes/{index}", tags=["indexes"], responses=ERRORS)
    def get_index(index: Name) -> dict[str, Any]:
        """One index."""
        return indexes.describe(index)

    @app.post("/v1/indexes/{index}/search", tags=["search"], responses=ERRORS)
    def search_index(index: Name, body: SearchBody) -> JSONResponse:
        """The documents that answer a query best."""
        result = search(indexes[index], body.to_query(), body.to_config())
        return JSONResponse(search_json(result, body.explain))


def _add_documents(app: FastAPI, indexes: Indexes, largest_body: int) -> None:
    documents = "/v1/indexes/{index}/documents"

    @app.post(
        documents,
        tags=["documents"],
        responses=ERRORS,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/x-ndjson": {"schema": {"type": "string"}},
                    "application/json": {
                        "schema": {"type": "array", "items": {"type": "object"}},
                        "example": [{"id": "a", "title": "A title", "text": "Some text"}],
                    },
                },
            }
        },
    )
    async def upsert(index: Name, request: Request) -> JSONResponse:
        """Write documents, NDJSON or a JSON array; every item gets a status of its own."""
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > largest_body:
                raise HTTPException(413, f"the body is larger than {largest_body} bytes; send less")
        collection = await run_in_threadpool(indexes.__getitem__, index)
        return JSONResponse(await run_in_threadpool(bulk_upsert, collection, bytes(body)))

    @app.post(f"{documents}/delete", tags=["documents"], responses=ERRORS)
    def delete(index: Name, body: DeleteBody) -> dict[str, Any]:
        """Delete documents by id, or all that pass a filter; says which were there."""
        collection, wanted = indexes[index], body.to_filter()
        deleted = (
            collection.delete(body.ids or ())
            if wanted is None
            else collection.delete_matching(wanted)
        )
        return {"deleted": len(deleted), "ids": sorted(deleted)}

    @app.get(documents + "/{id:path}", tags=["documents"], responses=ERRORS)
    def get(index: Name, id: str) -> dict[str, Any]:  # noqa: A002
        """One document."""
        document = indexes[index].get(id)
        if document is None:
            raise NotFoundError(f"the index {index!r} has no document {id!r}")
        return {
            "id": document.id,
            "title": document.title,
            "text": document.text,
            "metadata": dict(document.metadata),
        }

    @app.delete(documents + "/{id:path}", tags=["documents"], responses=ERRORS)
    def delete_one(index: Name, id: str) -> dict[str, Any]:  # noqa: A002
        """Delete one document."""
        if not indexes[index].delete([id]):
            raise NotFoundError(f"the index {index!r} has no document {id!r}")
        return {"deleted": 1, "ids": [id]}
