"""Where the collections that a server serves are, by the names that they go by."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from index.collection.collection import is_collection
from index.opening import Place
from lsr.errors import ConflictError, NotFoundError, UsageError

log = logging.getLogger(__name__)

LONGEST_NAME = 255
"""Bytes of a directory's name, at most."""


class UnknownIndexError(NotFoundError):
    """No index has this name."""

    def __init__(self, name: str, others: Sequence[str]) -> None:
        super().__init__(self._sentence(name, others))
        self._name, self._others = name, others

    def among(self, reached: Callable[[str], bool]) -> str:
        """The message to somebody who may know of these indexes alone."""
        return self._sentence(self._name, [name for name in self._others if reached(name)])

    @staticmethod
    def _sentence(name: str, others: Sequence[str]) -> str:
        return f"there is no index {name!r}; there are: {', '.join(others) or 'none'}"


class IndexPlaces:
    """Collections given one by one, and those in given folders, new ones noticed as they come.

    Args:
        paths: directories of collections, folders that hold such directories, or addresses of
            collections in Qdrant.

    Raises:
        NotFoundError: a path does not exist.
        UsageError: two collections have one name.
    """

    def __init__(self, paths: Sequence[Place]) -> None:
        self._places: dict[str, Place] = {}
        self._folders: list[Path] = []
        self.aliases: Mapping[str, str] = {}
        for place in paths:
            if not isinstance(place, Path):
                self._add(place.name, place)
                continue
            path = place.absolute()
            if is_collection(path):
                self._add(path.resolve().name, path)
            elif path.is_dir():
                self._folders.append(path)
            else:
                raise NotFoundError(
                    f"there is no collection and no folder at {path}; create a collection with: "
                    f"lsr index CORPUS --into {path}"
                )

    @property
    def folder(self) -> Path | None:
        """The first folder of collections, where new ones go; None: only collections are served."""
        return next(iter(self._folders), None)

    def names(self) -> list[str]:
        """Names of all collections, sorted."""
        found = {path.name for folder in self._folders for path in _collections(folder)}
        return sorted(found | set(self._places))

    def resolved(self, name: str) -> str:
        """The name of the index that goes by a name, its own or an alias.

        Raises:
            NotFoundError: there is none.
        """
        return self._found(name)[0]

    def path_of(self, name: str) -> Path:
        """The directory of the index that goes by a name, its own or an alias.

        Raises:
            NotFoundError: there is none.
            ConflictError: it is in Qdrant.
        """
        found, place = self._found(name)
        return self._directory(found, place)

    def place_of(self, name: str) -> Place:
        """The directory or address of the index that goes by a name, its own or an alias.

        Raises:
            NotFoundError: there is none.
        """
        return self._found(name)[1]

    def folder_of(self, name: str) -> Path:
        """The served folder that an index, by its own name, is in, which may change there.

        Raises:
            ConflictError: the name is an alias, or the index was given to the server by itself.
            NotFoundError: there is none.
        """
        resolved, place = self._found(name)
        if resolved != name:
            raise ConflictError(
                f"{name!r} is an alias of the index {resolved!r}; name the index itself"
            )
        path = self._directory(name, place)
        if name in self._places or path.is_symlink():
            raise ConflictError(
                f"the index {name!r} was given to the server by itself or by a link, so its "
                "directory stays as it is; a server of the folder that it is in may replace or "
                "delete it"
            )
        return path.parent

    def has(self, name: str) -> bool:
        """Whether an index has this name of its own."""
        return self._place(name) is not None

    def _add(self, name: str, place: Place) -> None:
        if name in self._places:
            raise UsageError(
                f"two collections are called {name!r}; their directories or addresses must differ "
                "in name, for the name is how they are asked for"
            )
        self._places[name] = place

    def _directory(self, name: str, place: Place) -> Path:
        if isinstance(place, Path):
            return place
        raise ConflictError(
            f"the index {name!r} is in Qdrant, which keeps, copies and verifies its files itself; "
            "this is done there, as docs/qdrant.md says"
        )

    def _found(self, name: str) -> tuple[str, Place]:
        """Name and place of the index that goes by a name, its own or an alias."""
        place = self._place(name)
        if place is not None:
            return name, place
        target = self.aliases.get(name)
        place = None if target is None else self._place(target)
        if target is not None and place is not None:
            return target, place
        if target is not None:
            raise NotFoundError(
                f"the alias {name!r} is of the index {target!r}, which is not there; point it at "
                "another"
            )
        raise UnknownIndexError(name, [*self.names(), *sorted(self.aliases)])

    def _place(self, name: str) -> Place | None:
        """Where a collection is that goes by this name, if any does.

        One in Qdrant is taken to be there; what is wrong is told when it is opened.
        """
        given = self._places.get(name)
        if given is not None:
            return given if not isinstance(given, Path) or _holds_collection(given) else None
        if name.startswith(".") or name == "" or "/" in name or "\\" in name or "\0" in name:
            return None
        if len(name.encode()) > LONGEST_NAME:
            return None
        candidates = (folder / name for folder in self._folders)
        return next(filter(_holds_collection, candidates), None)


def _collections(folder: Path) -> Iterator[Path]:
    """The collections of a folder whose names can be addresses."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        log.warning("the folder %s can't be read: %s", folder, error.strerror)
        return
    for path in filter(_holds_collection, found):
        try:
            path.name.encode()
        except UnicodeEncodeError:
            log.warning("the collection %r is passed over: its name is no text", path.name)
        else:
            yield path


def _holds_collection(path: Path) -> bool:
    """As ``is_collection``, and False where that can't be seen."""
    try:
        return is_collection(path)
    except OSError as error:
        log.warning("%s can't be read: %s", path, error.strerror)
        return False
