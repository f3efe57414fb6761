"""Long work: asked for, watched, canceled."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from index.snapshots.store import NAME_FORMAT
from lsr.errors import ConflictError, NotFoundError
from service.api.access import Caller, key_of, must_have, must_reach, needs
from service.api.bodies import JsonRoute
from service.api.dependencies import CHANGES_INDEXES, Encoders, IndexName, Readers, Tasking, Writers
from service.api.errors import ERRORS
from service.api.long_work import LongWork
from service.api.parted_json import PartedJSONResponse
from service.api.schemas.declared import declared
from service.api.schemas.tasks import (
    DeletedSnapshotAnswer,
    ImportBody,
    Kind,
    ReencodeBody,
    RestoreBody,
    SnapshotBody,
    SnapshotsAnswer,
    TaskAnswer,
    TasksAnswer,
    snapshot_json,
    task_json,
)
from service.state.places import check_name
from service.state.snapshots import Snapshots
from service.state.tasks import UNFINISHED, Status, Task
from service.tasks.imports import reading_of
from service.tasks.sources import allowed_path, check_url, is_url

router = APIRouter(prefix="/v1/tasks", tags=["tasks"], route_class=JsonRoute)
long_work = APIRouter(prefix="/v1/indexes/{index}", tags=["tasks"], route_class=JsonRoute)
Waits = Annotated[
    bool,
    Query(description="Whether to answer once the task has ended, 200; at the latest in 60 s."),
]
TASK: dict[str, Any] = {
    "status_code": 202,
    "response_model": TaskAnswer,
    "responses": ERRORS | {200: declared(TaskAnswer, description="The task has ended.")},
}
"""What a route that asks for a task declares."""
NO_NAME = SnapshotBody()


@router.get("", responses=ERRORS, dependencies=[needs("admin")])
async def list_tasks(
    request: Request,
    tasking: Tasking,
    readers: Readers,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    index: Annotated[str | None, Query(max_length=200)] = None,
    kind: Annotated[list[Kind], Query()] = [],  # noqa: B006
    status: Annotated[list[Status], Query()] = [],  # noqa: B006
) -> TasksAnswer:
    """The latest tasks first; of an index, of some kinds, of some states."""

    def listed() -> list[Task]:
        name = None if index is None else _name_of(tasking, index)
        return tasking.tasks.listed(limit, cursor, name, kind, status)

    found = await readers.run(request, lambda _: listed())
    answer: dict[str, Any] = {"tasks": [task_json(task) for task in found]}
    return answer | ({"cursor": found[-1].id} if len(found) == limit else {})  # type: ignore[return-value]


@router.get(
    "/{task}",
    response_model=TaskAnswer,
    responses=ERRORS,
    dependencies=[needs("search", looks_itself=True)],
)
async def get_task(
    task: str, key: Caller, request: Request, tasking: Tasking, readers: Readers
) -> JSONResponse:
    """One task as it is now; of those that don't evaluate, for keys that may write."""

    def found() -> JSONResponse:
        now = tasking.tasks[task]
        must_reach(key, now.index)
        if now.kind != "evaluate":
            must_have(key, "write")
        shown = task_json(now)
        if now.result is not None:
            shown["result"] = {**now.result, **tasking.details.of(now.id)}
        return PartedJSONResponse(shown)

    return await readers.run(request, lambda _: found())


@router.delete("/{task}", responses=ERRORS, dependencies=[needs("admin", looks_itself=True)])
async def cancel_task(
    task: str, key: Caller, request: Request, tasking: Tasking, writers: Writers
) -> TaskAnswer:
    """Cancel a task: at once where it waits, else at its next step; what it wrote stays."""

    def canceled() -> Task:
        must_reach(key, tasking.tasks[task].index)
        return tasking.tasks.cancel(task)

    found = await writers.run(request, lambda _: canceled())
    return task_json(found)  # type: ignore[return-value]


@long_work.post("/import", **TASK, dependencies=[needs("write"), CHANGES_INDEXES])
async def import_documents(
    index: IndexName,
    body: ImportBody,
    request: Request,
    tasking: Tasking,
    writers: Writers,
    wait: Waits = False,
) -> JSONResponse:
    """Bring the documents of a file, folder or address into an index.

    What is there already is not encoded again, so an import may be repeated.
    """

    def asked() -> Task:
        name = tasking.lifecycle.indexes.resolved(index)
        parameters = body.model_dump()
        reading_of(parameters)
        if is_url(body.source):
            check_url(body.source, tasking.settings)
        else:
            allowed_path(body.source, tasking.settings)
        return tasking.enqueue("import", name, parameters)

    return await _answer(request, tasking, await writers.run(request, lambda _: asked()), wait)


@long_work.post("/reencode", **TASK, dependencies=[needs("admin"), CHANGES_INDEXES])
async def reencode_index(
    index: IndexName,
    body: ReencodeBody,
    request: Request,
    tasking: Tasking,
    encoders: Encoders,
    writers: Writers,
    wait: Waits = False,
) -> JSONResponse:
    """Encode all documents of an index by other encoders, beside what is searched meanwhile.

    Then the new collection takes the place of the old one in one instant, with all that was
    written by then. How it is searched by default is forgotten.
    """

    def asked() -> Task:
        name = tasking.lifecycle.indexes.resolved(index)
        tasking.lifecycle.indexes.folder_of(name)
        named = {
            each: None if value is None else encoders.named(value)
            for each, value in (("encoder", body.encoder), ("dense", body.dense))
        }
        return tasking.enqueue("reencode", name, body.model_dump() | named)

    return await _answer(request, tasking, await writers.run(request, lambda _: asked()), wait)


@long_work.post("/merge", **TASK, dependencies=[needs("admin"), CHANGES_INDEXES])
async def merge_segments(
    index: IndexName, request: Request, tasking: Tasking, writers: Writers, wait: Waits = False
) -> JSONResponse:
    """Bring what was written into segments, and merge those that are due."""
    return await _without_settings("merge", index, request, tasking, writers, wait)


@long_work.post("/check", **TASK, dependencies=[needs("admin")])
async def check_index(
    index: IndexName, request: Request, tasking: Tasking, writers: Writers, wait: Waits = False
) -> JSONResponse:
    """Verify an index: the store, every checksum, and that segments equal the store."""
    return await _without_settings("check", index, request, tasking, writers, wait)


@long_work.get("/snapshots", responses=ERRORS, dependencies=[needs("admin")])
async def list_snapshots(
    index: IndexName, request: Request, tasking: Tasking, readers: Readers
) -> SnapshotsAnswer:
    """The snapshots of an index, which stay when it is deleted."""

    def listed() -> SnapshotsAnswer:
        name = _name_of(tasking, index)
        found = _snapshots(tasking).listed(name)
        if not found and not tasking.lifecycle.indexes.has(name):
            raise NotFoundError(f"there is no index {index!r}, and no snapshot of one")
        return {"snapshots": [snapshot_json(each) for each in found]}

    return await readers.run(request, lambda _: listed())


@long_work.post("/snapshots", **TASK, dependencies=[needs("admin")])
async def take_snapshot(
    index: IndexName,
    request: Request,
    tasking: Tasking,
    writers: Writers,
    wait: Waits = False,
    body: SnapshotBody = NO_NAME,
) -> JSONResponse:
    """Write a snapshot of an index as of one moment, in the server's folder of snapshots."""

    def asked() -> Task:
        name = tasking.lifecycle.indexes.resolved(index)
        snapshot = body.name or time.strftime(NAME_FORMAT, time.gmtime())
        wanted = [
            task.parameters["name"]
            for task in tasking.tasks.listed(1000, None, name, ["snapshot"], UNFINISHED)
        ]
        if _snapshots(tasking).has(name, snapshot) or snapshot in wanted:
            raise ConflictError(
                f"the index {name!r} has a snapshot {snapshot!r} already; give another name, or "
                "delete it"
            )
        return tasking.enqueue("snapshot", name, {"name": snapshot, "keep": body.keep})

    return await _answer(request, tasking, await writers.run(request, lambda _: asked()), wait)


@long_work.delete("/snapshots/{snapshot}", responses=ERRORS, dependencies=[needs("admin")])
async def delete_snapshot(
    index: IndexName, snapshot: str, request: Request, tasking: Tasking, writers: Writers
) -> DeletedSnapshotAnswer:
    """Delete a snapshot of an index."""
    await writers.run(
        request, lambda _: _snapshots(tasking).delete(_name_of(tasking, index), snapshot)
    )
    return {"name": snapshot, "deleted": True}


@long_work.post("/restore", **TASK, dependencies=[needs("admin"), CHANGES_INDEXES])
async def restore_index(
    index: IndexName,
    body: RestoreBody,
    request: Request,
    tasking: Tasking,
    writers: Writers,
    wait: Waits = False,
) -> JSONResponse:
    """Make an index of a snapshot, once all of it is verified: a new one, or in place of one.

    It appears, or takes the place of the other, whole and in one instant.
    """

    def asked() -> Task:
        indexes = tasking.lifecycle.indexes
        check_name(index)
        of = _name_of(tasking, body.of or index)
        must_reach(key_of(request), of)
        if not _snapshots(tasking).has(of, body.snapshot):
            raise NotFoundError(f"the index {of!r} has no snapshot {body.snapshot!r}")
        if indexes.has(index):
            indexes.folder_of(index)
            if not body.replace:
                raise ConflictError(
                    f"there is an index {index!r} already; restore to another name, or with "
                    '"replace": true'
                )
        elif index in indexes.aliases:
            raise ConflictError(f"{index!r} is an alias; restore to the name of an index")
        else:
            _ = tasking.lifecycle.places
        parameters = {"name": body.snapshot, "of": of, "replace": body.replace}
        return tasking.enqueue("restore", index, parameters)

    return await _answer(request, tasking, await writers.run(request, lambda _: asked()), wait)


async def _without_settings(
    kind: Kind, index: str, request: Request, tasking: LongWork, writers: Writers, wait: bool
) -> JSONResponse:
    def asked() -> Task:
        return tasking.enqueue(kind, tasking.lifecycle.indexes.resolved(index), {})

    return await _answer(request, tasking, await writers.run(request, lambda _: asked()), wait)


async def _answer(request: Request, tasking: LongWork, task: Task, wait: bool) -> JSONResponse:
    if wait:
        task = await tasking.finished(request, task)
    return JSONResponse(task_json(task), 200 if task.is_finished else 202)


def _snapshots(tasking: LongWork) -> Snapshots:
    return Snapshots.of_server(tasking.settings, tasking.lifecycle.indexes)


def _name_of(tasking: LongWork, index: str) -> str:
    """The name of the index of an alias; else the name itself, of an index that may be gone."""
    return (
        index
        if tasking.lifecycle.indexes.has(index)
        else tasking.lifecycle.aliases.get(index, index)
    )
