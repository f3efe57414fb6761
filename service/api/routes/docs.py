"""The page that shows what the API takes and answers, from files of this machine alone."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

PACKAGE = "fastapi_swagger"
"""The package that has the files of Swagger UI, of which nothing else is used."""
PAGE = Path(__file__).parent.parent.parent / "static" / "docs.html"
FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> FileResponse:
    """The page."""
    return FileResponse(PAGE)


@router.get("/docs/{name}")
async def docs_file(name: str) -> FileResponse:
    """A file that the page uses."""
    if name not in FILES:
        raise HTTPException(404)
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise HTTPException(
            501, "the page /docs needs the package fastapi-swagger; pip install fastapi-swagger"
        )
    path = Path(found.origin).parent / "resources" / name
    return FileResponse(path, media_type=FILES[name])
