"""Judged queries in, measures out."""

from __future__ import annotations

import time
from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from index.search.deadline import Deadline
from lsr.threads import sharing_cores
from service.api.access import needs
from service.api.bodies import JsonRoute
from service.api.dependencies import IndexName, Readers, ServedIndexes
from service.api.errors import ERRORS
from service.api.parted_json import PartedJSONResponse
from service.api.schemas.evaluation import (
    MOST_DEPTH,
    EvaluateAnswer,
    EvaluateBody,
    evaluation_json,
)

router = APIRouter(
    prefix="/v1/indexes/{index}",
    tags=["search"],
    route_class=JsonRoute,
    dependencies=[needs("search")],
)


@router.post("/evaluate", response_model=EvaluateAnswer, responses=ERRORS)
async def evaluate(
    index: IndexName,
    body: EvaluateBody,
    request: Request,
    indexes: ServedIndexes,
    readers: Readers,
) -> JSONResponse:
    """How well judged queries are answered, by the measures of ir_measures."""

    def answer(deadline: Deadline) -> JSONResponse:
        from eval.judged_search import judge_search
        from eval.measures import STANDARD, measures_and_depth
        from eval.run import run_lines

        started = time.perf_counter()
        names, depth = body.measures or STANDARD, body.depth
        if "depth" not in body.model_fields_set:
            names, depth = measures_and_depth(names, None, MOST_DEPTH)
        config = replace(body.search.to_config(indexes.rerankers), limit=depth)
        with sharing_cores():
            found = judge_search(
                indexes[index],
                body.queries,
                body.qrels,
                config,
                names,
                body.per_query,
                deadline,
            )
        shown = evaluation_json(found, 1000 * (time.perf_counter() - started))
        if body.run is not None:
            shown["run"] = "".join(run_lines(found.run, f"lsr-{found.using}"))
        return PartedJSONResponse(shown)

    return await readers.run(request, answer, is_long=True)
