"""Whether the server is up, and ready to answer."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from service.api.access import Caller
from service.api.dependencies import ServedIndexes
from service.api.errors import error_response
from service.api.schemas.responses import ErrorBody, HealthAnswer, ReadyAnswer
from service.api.work import BUSY

# Asynchronous: these answer whatever the threads are busy with.
router = APIRouter(tags=["health"])


@router.get("/livez")
async def livez() -> HealthAnswer:
    """The process is up."""
    return {"status": "ok"}


@router.get("/readyz", response_model=ReadyAnswer, responses={503: {"model": ErrorBody}})
async def readyz(
    request: Request, key: Caller, indexes: ServedIndexes
) -> ReadyAnswer | JSONResponse:
    """The indexes are open and their encoders loaded; names those with a problem that the key of
    the request reaches.

    As long as one index can be searched, or there is none, the answer is 200.
    """
    if not request.app.state.ready:
        message = "the indexes are still being opened; try again soon"
        return error_response(request, 503, "not_ready", message, BUSY)
    if indexes.stopping:
        message = "the server is stopping; ask another one, or again once it is there again"
        return error_response(request, 503, "not_ready", message, BUSY)
    # In threads apart from those of requests.
    found = await asyncio.to_thread(indexes.problems)
    answer: ReadyAnswer = {"status": "ok"}
    followed: list[str] = []
    if indexes.replica is not None:
        if not indexes.names():
            message = "no snapshot has been copied yet; publish one, or try again soon"
            return error_response(request, 503, "not_ready", message, BUSY)
        answer["snapshots"] = {
            name: {"name": snapshot, "created": indexes.replica.created(name)}
            for name, snapshot in indexes.replica.snapshots.items()
            if key.reaches(name)
        }
        problems = await asyncio.to_thread(indexes.replica.problems)
        followed = [
            f"{name}: {sentence}" if name else sentence
            for name, sentence in problems.items()
            if not name or key.reaches(name)
        ]
        if problems:
            answer |= {"status": "degraded", "problems": followed}
    if not found:
        return answer
    sentences = [
        f"{name}: {problem.sentence}" for name, problem in found.items() if key.reaches(name)
    ]
    if not indexes.any_searched(found):
        reasons = "; ".join(sentences) or "a key that reaches them is told why"
        message = f"no index can be searched: {reasons}"
        return error_response(request, 503, "not_ready", message, BUSY)
    return answer | {"status": "degraded", "problems": [*sentences, *followed]}
