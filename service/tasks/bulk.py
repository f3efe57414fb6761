"""Bulk writes whose client doesn't wait for them."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from lsr.errors import LockedError, LsrError
from service.api.bulk import LOCKED, all_decided, bulk_upsert
from service.api.schemas.responses import BulkAnswer
from service.state.task_bodies import TaskBodies
from service.tasks.imports import LONGEST_PROBLEM, MOST_PROBLEMS
from service.tasks.run import Run


def write_bulk(run: Run) -> dict[str, Any]:
    """Write the documents of a body, waiting for whoever else writes.

    What is written already is not encoded again, so that it may be begun anew.

    Raises:
        Canceled: it is to stop; what it wrote stays.
        LsrError: some could not be written.
    """
    body = TaskBodies(run.tasks.state)[run.task.id]

    def stopping() -> bool:
        run.check()
        return False

    with closing(run.open()) as collection:
        while True:
            try:
                answer = bulk_upsert(collection, body, stopping)
            except LockedError:
                run.check()
                continue
            if all_decided(answer):
                return _result(answer)
            if all(item["status"] != LOCKED.status for item in answer["items"]):
                raise LsrError("some documents were not written; the server's log has the reason")
            run.check()


def _result(answer: BulkAnswer) -> dict[str, Any]:
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    problems = []
    for item in map(dict[str, Any], answer["items"]):
        if "result" in item:
            counts[item["result"]] += 1
        else:
            problems.append(item["error"]["message"])
    return {
        **counts,
        "rejected": len(problems),
        "problems": [each[:LONGEST_PROBLEM] for each in problems[:MOST_PROBLEMS]],
    }
