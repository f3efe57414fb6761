"""Judged queries searched in an index, and measured: in a request, or by a task."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from index.collection.writable import Writable
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
    return replace(body.search.to_config(rerankers), limit=measured(body)[1])


def measured(body: EvaluateBody) -> tuple[Sequence[str], int]:
    """The measures, and how deep is searched: where nothing is said, as they need it.

    Raises:
        UsageError: a measure is unknown, or deeper than may be searched.
    """
    from eval.measures import STANDARD, measures_and_depth

    names = body.measures or STANDARD
    if "depth" in body.model_fields_set:
        return names, body.depth
    return measures_and_depth(names, None, MOST_DEPTH)


def check_task(body: EvaluateBody, rerankers: ServedRerankers) -> None:
    """Go on if a task can begin with this; the index is not looked at.

    Raises:
        InputError: a judged query has no text, a setting is out of its range, or there are too
            many results.
        UsageError: a measure is unknown.
    """
    from eval.judged_search import check_judged

    names, depth = measured(body)
    check_judged(body.queries, body.qrels, names)
    config_of(body, rerankers)
    results = depth * len(body.queries)
    if results > MOST_RESULTS:
        raise InputError(
            f"{len(body.queries)} queries of depth {depth} have {results} results; a task "
            f"keeps {MOST_RESULTS}, so give less depth or send fewer queries"
        )


def evaluated(
    collection: Writable,
    body: EvaluateBody,
    config: SearchConfig,
    deadline: Deadline | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> EvaluateAnswer:
    """The answer to a body; ``deadline``, ``progress`` and errors as of ``judge_search``."""
    from eval.judged_search import judge_search
    from eval.run import run_lines

    started = time.perf_counter()
    with sharing_cores():
        found = judge_search(
            collection,
            body.queries,
            body.qrels,
            config,
            measured(body)[0],
            body.per_query,
            deadline,
            progress,
        )
    shown = evaluation_json(found, 1000 * (time.perf_counter() - started))
    if body.run is not None:
        shown["run"] = "".join(run_lines(found.run, f"lsr-{found.using}"))
    return shown
