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
from lsr.trusted_code import NO_CODE, TrustedCode
from service.api.schemas.responses import IndexAnswer

log = logging.getLogger(__name__)


class Indexes:
    """Collections given one by one, and those in given folders, new ones noticed as they come.

    Args:
        paths: directories of collections, or folders that hold such directories.
        trusted: the models whose Python code may run.

    Raises:
        NotFoundError: a path does not exist.
        UsageError: two collections have one name.
    """

    def __init__(self, paths: Sequence[Path], trusted: TrustedCode = NO_CODE) -> None:
        self._trusted = trusted
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
                self._open[name] = identity, Collection.open(path, trusted=self._trusted)
            return self._open[name][1]

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
        candidates = (folder / name for folder in self._folders)
        return next((path for path in candidates if is_collection(path)), None)
