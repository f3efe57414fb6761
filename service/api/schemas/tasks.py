"""The JSON of long work: what is asked for, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from service.api.schemas.body import Body
from service.api.schemas.evaluation import EvaluateAnswer
from service.api.schemas.indexes import EncoderName, Name
from service.state.snapshots import SnapshotEntry
from service.state.tasks import Status, Task

Kind = Literal["bulk", "import", "reencode", "merge", "snapshot", "restore", "check", "evaluate"]
Moment = Annotated[str, Field(description="UTC, as in 2026-11-27T12:00:00.000Z.")]
Patterns = Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=100)]


class ImportBody(Body):
    """Documents to bring into an index, read as `lsr index` reads them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"source": "corpora/pets.jsonl"},
                {"source": "https://data.example.org/pets.csv.gz", "id_field": "key"},
            ]
        }
    )

    source: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        description="A file or folder in one of the server's `import_folders`, or an address below "
        "one of its `import_urls`."
    )
    id_field: Name | None = Field(default=None, description="Member or column that is the id.")
    title_field: Name | None = Field(default=None, description="The one that is the title.")
    text_field: Name | Patterns | None = Field(
        default=None, description="The one, or those, that are the text."
    )
    columns: Patterns | None = Field(
        default=None, description="Names of the columns of a table without a header."
    )
    include: Patterns = Field(default=[], description="Patterns of the files of a folder to read.")
    exclude: Patterns = Field(default=[], description="Patterns of those to leave out.")


class ReencodeBody(Body):
    """The encoders that an index is to have; as for a new index."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"encoder": "bm25"}]})

    encoder: EncoderName | None = None
    dense: EncoderName | None = None
    bm25: bool = False
    language: Name | None = None
    passages: Literal["auto", "off"] | None = Field(
        default=None, description="By default as the index has it."
    )


class SnapshotBody(Body):
    """A snapshot to write."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "before-the-move"}]})

    name: Name | None = Field(default=None, description="By default the time, UTC.")
    keep: int | None = Field(
        default=None,
        ge=1,
        description="How many snapshots of the index stay, the newest, this one included; by "
        "default all.",
    )


class RestoreBody(Body):
    """The snapshot of which an index is made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"snapshot": "before-the-move", "replace": True},
                {"snapshot": "before-the-move", "of": "pets"},
            ]
        }
    )

    snapshot: Name
    of: Name | None = Field(
        default=None, description="The index that it is of; by default of this name."
    )
    replace: bool = Field(
        default=False, description="Whether an index of this name, if there is one, is replaced."
    )


class TaskProgress(TypedDict):
    """Steps that are done of how many: documents, bytes, pages, segments or queries."""

    done: int
    total: Annotated[
        NotRequired[int], Field(description="Where it is known; of an import, an estimate.")
    ]


class TaskError(TypedDict):
    """Why a task failed, as errors of requests have it."""

    type: str
    message: str


class ImportResult(TypedDict):
    """What an import did: documents by what became of them, and what was left out."""

    documents: Annotated[int, Field(description="That the index has now.")]
    created: int
    updated: int
    unchanged: int
    rejected: int
    split: int
    passages: int
    cut: int
    passed_over: Annotated[str, Field(description="Files that were not read; empty where none.")]
    problems: Annotated[
        list[str], Field(description="The first 100 items that were left out: place and reason.")
    ]


class BulkResult(TypedDict):
    """What a bulk write did, by what became of its documents."""

    created: int
    updated: int
    unchanged: int
    rejected: int
    problems: Annotated[list[str], Field(description="The first 100 items that were rejected.")]


class ReencodeResult(TypedDict):
    """What the new collection holds."""

    documents: int
    encoded: int


class MergeResult(TypedDict):
    """The index once its segments are merged."""

    documents: int
    segments: int


class SnapshotResult(TypedDict):
    """A snapshot that was written."""

    snapshot: str
    documents: int
    segments: int
    bytes: int
    deleted: Annotated[
        NotRequired[list[str]], Field(description="With keep, the older ones that went.")
    ]


class RestoreResult(TypedDict):
    """An index that was restored."""

    documents: int
    segments: int
    bytes: int


class CheckResult(TypedDict):
    """What was checked, and the first 100 problems that were found."""

    documents: int
    segments: int
    weights: int
    problems: list[str]
    problems_found: int


TaskResult = (
    ImportResult
    | BulkResult
    | SnapshotResult
    | RestoreResult
    | CheckResult
    | ReencodeResult
    | MergeResult
    | EvaluateAnswer
)


class TaskAnswer(TypedDict):
    """Long work, as of now."""

    id: str
    kind: Kind
    index: str
    status: Status
    progress: TaskProgress
    created: Moment
    started: NotRequired[Moment]
    finished: NotRequired[Moment]
    error: NotRequired[TaskError]
    result: NotRequired[TaskResult]


class TasksAnswer(TypedDict):
    """Tasks, the latest first."""

    tasks: list[TaskAnswer]
    cursor: Annotated[
        NotRequired[str], Field(description="Asks for the earlier ones, where there may be some.")
    ]


class SnapshotAnswer(TypedDict):
    """A snapshot of an index."""

    name: str
    created: Annotated[str, Field(description="UTC, as in 2026-11-27T12:00:00Z.")]
    documents: int
    bytes: int


class SnapshotsAnswer(TypedDict):
    """The snapshots of an index, by name."""

    snapshots: list[SnapshotAnswer]


class DeletedSnapshotAnswer(TypedDict):
    """A snapshot that is gone."""

    name: str
    deleted: Literal[True]


def task_json(task: Task) -> dict[str, Any]:
    """A ``TaskAnswer``."""
    progress = {"done": task.done} | ({} if task.total is None else {"total": task.total})
    found: dict[str, Any] = {
        "id": task.id,
        "kind": task.kind,
        "index": task.index,
        "status": task.status,
        "progress": progress,
        "created": _moment(task.created),
    }
    for name, when in (("started", task.started), ("finished", task.finished)):
        if when is not None:
            found[name] = _moment(when)
    for name, value in (("error", task.error), ("result", task.result)):
        if value is not None:
            found[name] = value
    return found


def snapshot_json(entry: SnapshotEntry) -> SnapshotAnswer:
    """A snapshot as JSON."""
    return {
        "name": entry.name,
        "created": entry.created,
        "documents": entry.documents,
        "bytes": entry.bytes,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
