"""Segments merged, and a whole index verified."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from index.collection.check import check
from service.tasks.run import Run

MOST_PROBLEMS = 100


def merge(run: Run) -> dict[str, Any]:
    """Bring every row into a segment, and merge those that are due."""
    with closing(run.open()) as collection:
        if not collection.maintenance.flushed():
            collection.maintenance.flush()
        described = collection.describe()
    return {name: described[name] for name in ("documents", "segments") if name in described}


def check_index(run: Run) -> dict[str, Any]:
    """Verify store and segments."""
    with closing(run.open_directory()) as collection:
        report = check(collection, run.step)
    shown = [run.lifecycle.indexes.without_paths(each) for each in report.problems[:MOST_PROBLEMS]]
    return {
        "documents": report.documents,
        "segments": report.segments,
        "weights": report.weights,
        "problems": shown,
        "problems_found": len(report.problems),
    }
