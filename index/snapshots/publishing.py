"""Publishing snapshots: named by the time, appearing whole, the old ones deleted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from index.collection.collection import Collection
from index.collection.commits import last_commit
from index.collection.snapshot import SnapshotReport, snapshot
from index.snapshots.store import NAME_FORMAT, SnapshotStore, published
from lsr.errors import NotFoundError, UsageError

MOMENT_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
# As a folder may be called, and as an index that is served.
PLAIN = re.compile(r"[^\s.][^/\\*?\[\]{}<>|,\"\x00-\x1f\x7f]{0,127}")


class Publication(NamedTuple):
    """What is the newest snapshot now, whether it ``is_new``, and the names of ``deleted`` ones."""

    name: str
    place: str
    report: SnapshotReport
    is_new: bool
    deleted: list[str]


def publish(
    collection: Collection,
    store: SnapshotStore,
    name: str,
    keep: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Publication:
    """Publish a snapshot, unless the newest one there is of this very state of the collection.

    Args:
        collection: of what.
        store: where.
        name: of the collection, there.
        keep: how many snapshots stay, this one included; None: all.
        on_progress: as ``snapshot`` has it.

    Raises:
        UsageError: ``keep`` is below 1, the name can't be one, or the clock is behind the newest.
        UnavailableError: the store can't be reached.
        CorruptionError: the collection is damaged.
        LsrError: it can't be written.
    """
    if keep is not None and keep < 1:
        raise UsageError(f"{keep} snapshots can't be kept; keep 1 or more")
    if not PLAIN.fullmatch(name):
        raise UsageError(f"{name[:128]!r} can't be the name of a collection; name it with --as")
    there = published(store, name)
    newest = there[-1] if there else None
    state, _ = last_commit(collection.store.connection, collection.store.path)
    if newest is not None and newest.manifest.commit == state:
        report, new = SnapshotReport.of(newest.manifest), newest.name
        place = store.place(name, new)
        return Publication(new, place, report, False, prune(store, name, keep))
    if newest is not None and newest.created > _now(MOMENT_FORMAT):
        raise UsageError(
            f"the newest snapshot of {name!r} is of {newest.created}, and the clock of this "
            f"machine says {_now(MOMENT_FORMAT)}; set it right, for replicas take the latest"
        )
    new = _free_name({*store.names(name)})
    with store.placing(name, new) as destination:
        report = snapshot(collection, destination, on_progress)
    return Publication(new, store.place(name, new), report, True, prune(store, name, keep))


def prune(store: SnapshotStore, name: str, keep: int | None) -> list[str]:
    """Delete all but so many of the newest snapshots of a collection; returns their names.

    What was left by publishers that were killed goes too. None keeps all.

    Raises:
        UnavailableError: the store can't be reached.
    """
    if keep is None:
        return []
    old = [each.name for each in published(store, name)[:-keep]]
    for each in [*old, *store.abandoned(name)]:
        # Another may prune at the same moment.
        with suppress(NotFoundError):
            store.delete(name, each)
    return old


def _free_name(taken: set[str]) -> str:
    while (name := _now(NAME_FORMAT)) in taken:
        time.sleep(0.05)
    return name


def _now(form: str) -> str:
    return time.strftime(form, time.gmtime())
