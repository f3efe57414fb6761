"""The collections that a server serves, by name."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from index.collection.collection import STORE_FILE, Collection, is_collection
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.encoders.encoder import short_name
from lsr.encoders.imported import IMPORTED
from lsr.errors import LsrError, NotFoundError, UsageError
from service.api.schemas.responses import IndexAnswer

log = logging.getLogger(__name__)

LONGEST_NAME = 255
"""Bytes of a directory's name, at most."""


class Indexes:
    """Collections given one by one, and those in given folders, new ones noticed as they come.

    Args:
        paths: directories of collections, or folders that hold such directories.

    Raises:
        NotFoundError: a path does not exist.
        UsageError: two collections have one name.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths: dict[str, Path] = {}
        self._folders: list[Path] = []
        self._open: dict[str, tuple[int, Collection]] = {}
        self._lock = threading.Lock()
        for path in paths:
            if is_collection(path):
                name = path.resolve().name
                if name in self._paths:
                    raise UsageError(
                        f"two collections are called {name!r}; their directories must differ in "
                        "name, for the name is their address"
                    )
                self._paths[name] = path
            elif path.is_dir():
                self._folders.append(path)
            else:
                raise NotFoundError(
                    f"there is no collection and no folder at {path}; create a collection with: "
                    f"lsr index CORPUS --into {path}"
                )

    def names(self) -> list[str]:
        """Names of all collections, sorted."""
        found = {
            path.name
            for folder in self._folders
            for path in folder.iterdir()
            if not path.name.startswith(".") and is_collection(path)
        }
        return sorted(found | set(self._paths))

    def __getitem__(self, name: str) -> Collection:
        with self._lock:
            path = self._path(name)
            if path is None or not is_collection(path):
                self._close(name)
                raise NotFoundError(
                    f"there is no index {name!r}; there are: {', '.join(self.names()) or 'none'}"
                )
            # A directory that was deleted and indexed anew is another collection.
            identity = (path / STORE_FILE).stat().st_ino
            if name not in self._open or self._open[name][0] != identity:
                self._close(name)
                self._open[name] = identity, Collection.open(path)
            return self._open[name][1]

    def without_paths(self, message: str) -> str:
        """A message in which what is served, and its models, have names in place of paths."""
        paths = {path: path.name for path in (*self._paths.values(), *self._folders)}
        for _, collection in list(self._open.values()):
            paths[collection.path] = collection.path.name
            for field in collection.fields:
                model = Path(field.encoder.split(",")[0].rpartition(":")[2])
                if model.is_absolute():
                    paths[model] = model.name
        spelled = {
            str(each): name for path, name in paths.items() for each in (path, path.resolve())
        }
        for path in sorted(spelled, key=len, reverse=True):
            message = message.replace(path, spelled[path])
        return message

    def warm_up(self) -> None:
        """Search every collection once, so that the first query finds its models loaded."""
        for name in self.names():
            try:
                collection = self[name]
                imported = any(field.encoder == IMPORTED for field in collection.fields)
                search(collection, SearchQuery("warm up", sparse=([], []) if imported else None))
            except LsrError as error:
                log.warning("the index %r can't be searched: %s", name, error)

    def close(self) -> None:
        """Close every collection; builds in the background are abandoned, which loses nothing."""
        with self._lock:
            for name in list(self._open):
                self._close(name)

    def describe(self, name: str) -> IndexAnswer:
        """Name, number of documents and fields of one collection."""
        collection = self[name]
        return {
            "name": name,
            "documents": len(collection),
            "fields": [
                {
                    "name": field.name,
                    "kind": field.kind,
                    "encoder": short_name(field.encoder),
                    "fingerprint": field.fingerprint,
                    "size": field.size,
                }
                for field in collection.fields
            ],
        }

    def _close(self, name: str) -> None:
        if name in self._open:
            _, collection = self._open.pop(name)
            collection.close()

    def _path(self, name: str) -> Path | None:
        if name in self._paths:
            return self._paths[name]
        if name.startswith(".") or name == "" or "/" in name or "\\" in name or "\0" in name:
            return None
        if len(name.encode()) > LONGEST_NAME:
            return None
        candidates = (folder / name for folder in self._folders)
        return next((path for path in candidates if is_collection(path)), None)
