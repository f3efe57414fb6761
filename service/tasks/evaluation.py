"""Judged queries searched in an index, and measured: in a request, or by a task."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

from index.collection.collection import Collection
from index.search.config import SearchConfig
from index.search.deadline import Deadline
from lsr.errors import InputError
from lsr.threads import sharing_cores
from service.api.rerankers import ServedRerankers
from service.api.schemas.evaluation import (
    MOST_DEPTH,
    EvaluateAnswer,
    EvaluateBody,
    evaluation_json,
)
from service.state.task_bodies import TaskBodies
from service.state.task_details import TaskDetails
from service.tasks.run import Run

MOST_RESULTS = 1_000_000
"""Of all queries of a task together: their rankings are in memory at once."""
DETAILS = ("per_query", "run")


def evaluate(run: Run) -> dict[str, Any]:
    """Measure the rankings of the queries of a body.

    The values of each query and the run, where they are asked for, are kept apart.

    Raises:
        Canceled: it is to stop.
        InputError: what is to be kept is too large.
    """
    body = EvaluateBody.model_validate(json.loads(TaskBodies(run.tasks.state)[run.task.id]))
    names = () if body.search.rerank is None else run.settings.reranker
    with closing(run.open()) as collection:
        config = config_of(body, ServedRerankers(names, run.trusted))
        result = dict(evaluated(collection, body, config, progress=run.step))
    details = {name: result.pop(name) for name in DETAILS if name in result}
    if details:
        TaskDetails(run.tasks.state).keep(run.task.id, details)
    return result


def config_of(body: EvaluateBody, rerankers: ServedRerankers) -> SearchConfig:
    """How is searched for the queries.

    Raises:
        InputError: a setting is out of its range, or there is no such model.
    """
    return replace(body.search.to_config(rerankers), limit=depth_of(body))


def depth_of(body: EvaluateBody) -> int:
    """How many results each query gets: what is asked for, or as many as the measures need.

    Raises:
        UsageError: a measure is unknown, or needs more than are allowed.
    """
    from eval.measures import STANDARD, measures_and_depth

    if "depth" in body.model_fields_set:
        return body.depth
    return measures_and_depth(body.measures or STANDARD, None, MOST_DEPTH)[1]


def check_task(body: EvaluateBody, rerankers: ServedRerankers) -> None:
    """Go on if a task can begin with this; the index is not looked at.

    Raises:
        InputError: a judged query has no text, a setting is out of its range, or there are too
            many results.
        UsageError: a measure is unknown.
    """
    from eval.judged_search import check_judged
    from eval.measures import STANDARD

    check_judged(body.queries, body.qrels, body.measures or STANDARD)
    config_of(body, rerankers)
    depth = depth_of(body)
    results = depth * len(body.queries)
    if results > MOST_RESULTS:
        raise InputError(
            f"{len(body.queries)} queries of depth {depth} have {results} results; a task "
            f"keeps {MOST_RESULTS}, so give less depth or send fewer queries"
        )


def evaluated(
    collection: Collection,
    body: EvaluateBody,
    config: SearchConfig,
    deadline: Deadline | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> EvaluateAnswer:
    """The answer to a body; ``deadline``, ``progress`` and errors as of ``judge_search``."""
    from eval.judged_search import judge_search
    from eval.measures import STANDARD
    from eval.run import run_lines

    started = time.perf_counter()
    with sharing_cores():
        found = judge_search(
            collection,
            body.queries,
            body.qrels,
            config,
            body.measures or STANDARD,
            body.per_query,
            deadline,
            progress,
        )
    shown = evaluation_json(found, 1000 * (time.perf_counter() - started))
    if body.run is not None:
        shown["run"] = "".join(run_lines(found.run, f"lsr-{found.using}"))
    return shown
