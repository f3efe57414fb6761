"""Snapshots, and indexes made of them."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from index.collection.snapshot import SnapshotReport, restore, snapshot
from index.collection.snapshot_files import SnapshotFolder
from index.snapshots.publishing import prune
from lsr.errors import ConflictError
from service.tasks.run import Run


def take_snapshot(run: Run) -> dict[str, Any]:
    """Write a snapshot; ``name`` is its name, ``keep`` how many stay, or None."""
    name = str(run.parameters["name"])
    path = run.snapshots.path(run.task.index, name)
    if run.task.attempts > 1 and path.is_dir():
        # It appears whole or not at all, so a process before this one had finished it.
        with SnapshotFolder.opened(path) as taken:
            report = SnapshotReport.of(taken.manifest)
    else:
        with closing(run.open_directory()) as collection:
            report = snapshot(collection, path, run.step)
    keep = run.parameters.get("keep")
    deleted = prune(run.snapshots.store, run.task.index, keep)
    done = {"snapshot": name, **report._asdict()}
    return done if keep is None else {**done, "deleted": deleted}


def restore_snapshot(run: Run) -> dict[str, Any]:
    """Make an index of the snapshot ``name`` of the index ``of``; ``replace``: if there is one."""
    source = run.snapshots.path(str(run.parameters["of"]), str(run.parameters["name"]))
    places = run.places
    made = places.building(run.task.id) / "new"
    if (result := run.was_put(made)) is not None:
        return dict(result)
    indexes, name = run.lifecycle.indexes, run.task.index
    if made.exists():
        places.built(run.task.id)
        made = places.building(run.task.id) / "new"
    if indexes.has(name) and not run.parameters["replace"]:
        raise ConflictError(
            f"there is an index {name!r} by now; restore with replace, or to another"
        )
    result = restore(source, made, run.step)._asdict()
    if indexes.has(name):
        with run.at_rest(indexes.path_of(name)):
            run.put(made, result, replace=bool(run.parameters["replace"]))
    else:
        run.put(made, result, replace=False)
    return dict(result)
