"""Whether the server is up, and ready to answer."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request

from service.api.dependencies import ServedIndexes
from service.api.schemas.responses import ErrorBody, HealthAnswer, ReadyAnswer

router = APIRouter(tags=["health"])


@router.get("/livez")
def livez() -> HealthAnswer:
    """The process is up."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"model": ErrorBody}})
def readyz(request: Request, indexes: ServedIndexes) -> ReadyAnswer:
    """The indexes are open and their encoders loaded; names those with a problem.

    As long as one index can be searched, or there is none, the answer is 200.
    """
    if not request.app.state.ready:
        raise HTTPException(503, "the indexes are still being opened; try again soon")
    found = indexes.problems()
    if not found:
        return {"status": "ok"}
    sentences = [f"{name}: {problem.sentence}" for name, problem in found.items()]
    if all(name in found and not found[name].searched for name in indexes.names()):
        raise HTTPException(503, f"no index can be searched: {'; '.join(sentences)}")
    return {"status": "degraded", "problems": sentences}
