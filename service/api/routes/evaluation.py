"""Judged queries in, measures out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from index.search.deadline import Deadline
from service.api.access import needs
from service.api.bodies import JsonRoute
from service.api.dependencies import IndexName, Readers, ServedIndexes, Tasking, Writers
from service.api.errors import ERRORS
from service.api.parted_json import PartedJSONResponse
from service.api.schemas.declared import declared
from service.api.schemas.evaluation import EvaluateAnswer, EvaluateBody
from service.api.schemas.tasks import TaskAnswer, task_json
from service.state.tasks import Task
from service.tasks.evaluation import check_task, config_of, evaluated

router = APIRouter(
    prefix="/v1/indexes/{index}",
    tags=["search"],
    route_class=JsonRoute,
    dependencies=[needs("search")],
)


@router.post(
    "/evaluate",
    response_model=EvaluateAnswer,
    responses=ERRORS
    | {202: declared(TaskAnswer, description="A task searches and measures (wait=false).")},
)
async def evaluate(
    index: IndexName,
    body: EvaluateBody,
    request: Request,
    indexes: ServedIndexes,
    readers: Readers,
    writers: Writers,
    tasking: Tasking,
    wait: Annotated[
        bool,
        Query(
            description="false: answer 202 with a task that has all the time it needs; its "
            "result is this answer."
        ),
    ] = True,
) -> JSONResponse:
    """How well judged queries are answered, by the measures of ir_measures."""
    if not wait:
        raw = await request.body()

        def asked() -> Task:
            check_task(body, indexes.rerankers)
            return tasking.enqueue_body("evaluate", indexes.resolved(index), raw)

        task = await writers.run(request, lambda _: asked(), is_long=True)
        return JSONResponse(task_json(task), 202)

    def answer(deadline: Deadline) -> JSONResponse:
        config = config_of(body, indexes.rerankers)
        return PartedJSONResponse(evaluated(indexes[index], body, config, deadline))

    return await readers.run(request, answer, is_long=True)
