"""The store of an address: a folder, or an object store."""

from __future__ import annotations

from pathlib import Path

from index.snapshots.folder_store import FolderStore
from index.snapshots.object_store import ObjectStore, check_url
from index.snapshots.store import SnapshotStore


def snapshot_store(text: str) -> SnapshotStore:
    """The store of an address: a folder, or a URL as ``s3://bucket/folder``.

    Raises:
        MissingDependencyError: the package that speaks with it is not installed.
        UsageError: it is no such URL, or it holds a password.
    """
    if "://" in text:
        return ObjectStore(text)
    return FolderStore(Path(text))


def check_store_address(text: str) -> None:
    """Raise what ``snapshot_store`` would, without a connection or a thread."""
    if "://" in text:
        check_url(text)
