"""Whether the server is up, and ready to answer."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from service.api.errors import error_response
from service.api.schemas.responses import ErrorBody, HealthAnswer

# Asynchronous: these answer whatever the threads are busy with.
router = APIRouter(tags=["health"])


@router.get("/livez")
async def livez() -> HealthAnswer:
    """The process is up."""
    return {"status": "ok"}


@router.get("/readyz", response_model=HealthAnswer, responses={503: {"model": ErrorBody}})
async def readyz(request: Request) -> HealthAnswer | JSONResponse:
    """All indexes are open and their encoders loaded."""
    if not request.app.state.ready:
        message = "the indexes are still being opened; try again soon"
        return error_response(request, 503, "not_ready", message)
    return {"status": "ok"}
