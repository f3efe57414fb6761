"""Whether the server is up, and ready to answer."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request

from service.api.schemas.responses import ErrorBody, HealthAnswer

router = APIRouter(tags=["health"])


@router.get("/livez")
def livez() -> HealthAnswer:
    """The process is up."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"model": ErrorBody}})
def readyz(request: Request) -> HealthAnswer:
    """All indexes are open and their encoders loaded."""
    if not request.app.state.ready:
        raise HTTPException(503, "the indexes are still being opened; try again soon")
    return {"status": "ok"}
