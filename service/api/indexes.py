"""The collections that a server serves, by name."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from index.collection.collection import STORE_FILE, Collection, is_collection
from index.collection.field import Field
from index.collection.writable import Writable
from index.opening import Place, open_collection, place_of
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.encoders.encoder import short_name
from lsr.encoders.imported import IMPORTED
from lsr.encoding.query_batches import QueryBatches
from lsr.errors import ConflictError, LsrError, NotFoundError, UsageError
from lsr.trusted_code import NO_CODE, TrustedCode
from service.api.rerankers import ServedRerankers
from service.api.schemas.responses import BrokenIndex, IndexAnswer
from service.replica.state import Replica

log = logging.getLogger(__name__)

LONGEST_NAME = 255
"""Bytes of a directory's name, at most."""


class Problem(NamedTuple):
    """What is wrong with an index, in a sentence, and whether it is searched all the same."""

    sentence: str
    searched: bool


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


class Indexes:
    """Collections given one by one, and those in given folders, new ones noticed as they come.

    One that can't be opened or read is told as such, and the others are served. ``stopping`` says
    that the server is to stop: long writes then end early.

    Args:
        paths: directories of collections, folders that hold such directories, or addresses of
            collections in Qdrant.
        trusted: the models whose Python code may run.
        rerankers: names of the models that requests may re-rank by, which are loaded.
        batches: what encodes queries; None: each search encodes its own.

    Raises:
        InputError: a re-ranker can't be used.
        NotFoundError: a path or a re-ranker does not exist.
        UsageError: two collections or re-rankers have one name.
    """

    def __init__(
        self,
        paths: Sequence[Place],
        trusted: TrustedCode = NO_CODE,
        rerankers: Sequence[str] = (),
        batches: QueryBatches | None = None,
    ) -> None:
        self._trusted = trusted
        self.batches = batches
        self.rerankers = ServedRerankers(rerankers, trusted)
        self._places: dict[str, Place] = {}
        self._folders: list[Path] = []
        self._open: dict[str, tuple[object, Writable]] = {}
        self._opening: dict[str, threading.Lock] = {}
        self._unsearchable: dict[str, str] = {}
        self.aliases: Mapping[str, str] = {}
        self._told: dict[str, str] = {}
        self.replica: Replica | None = None
        """What is said of a server that follows snapshots."""
        self.stopping = False
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

    def snapshot(self, name: str) -> str | None:
        """The snapshot that an index of a replica is a copy of, by any of its names."""
        if self.replica is None:
            return None
        return self.replica.snapshots.get(self.aliases.get(name, name))

    def has(self, name: str) -> bool:
        """Whether an index has this name of its own."""
        return self._place(name) is not None

    def release(self, name: str) -> None:
        """Let go of the files of an index, which is opened anew where it is asked for again."""
        with self._opening.setdefault(name, threading.Lock()):
            self._close(name)

    def release_gone(self) -> None:
        """Let go of the files of indexes that were deleted or replaced."""
        for name, (identity, _) in list(self._open.items()):
            place = self._place(name)
            try:
                is_there = place is not None and _identity(place) == identity
            except OSError:
                is_there = False
            if not is_there:
                self.release(name)

    def __getitem__(self, name: str) -> Writable:
        name, place = self._found(name)
        # One that opens slowly keeps nobody from the others.
        with self._opening.setdefault(name, threading.Lock()):
            # A directory that was deleted and indexed anew is another collection.
            try:
                identity = _identity(place)
            except FileNotFoundError as error:
                raise NotFoundError(f"the index {name!r} was just deleted") from error
            if name not in self._open or self._open[name][0] != identity:
                self._close(name)
                opened = open_collection(place, self._trusted)
                opened.fields.batches = self.batches
                self._open[name] = identity, opened
            return self._open[name][1]

    def at_hand(self, name: str) -> Writable | None:
        """A collection that is open, with the view of its last write, and needs no model for
        queries; None: it isn't.

        Raises:
            NotFoundError: there is no such index.
        """
        name, place = self._found(name)
        identity, opened = self._open.get(name, (None, None))
        try:
            if not isinstance(opened, Collection) or identity != _identity(place):
                return None
            return opened if opened.is_at_hand() and opened.fields.inference_free else None
        except (LsrError, FileNotFoundError):
            return None

    def without_paths(self, message: str) -> str:
        """A message in which what is served, and its models, have names in place of paths."""
        places = (*self._places.values(), *self._folders)
        paths: dict[Place, str] = {place: place.name for place in places}
        for _, collection in list(self._open.values()):
            paths[place_of(collection.place)] = collection.fields.collection
            for field in collection.fields:
                model = Path(field.encoder.split(",")[0].rpartition(":")[2])
                if model.is_absolute():
                    paths[model] = model.name
        spelled = {str(place): name for place, name in paths.items()}
        spelled |= {str(p.resolve()): name for p, name in paths.items() if isinstance(p, Path)}
        for path in sorted(spelled, key=len, reverse=True):
            message = message.replace(path, spelled[path])
        return message

    def preload(self) -> None:
        """Have all segments in memory for the forks of this process, and no collection open."""
        for name in self.names():
            place = self._place(name)
            # What is wrong with it is told by those that serve it.
            with suppress(LsrError, OSError):
                if isinstance(place, Path):
                    with closing(Collection.open(place)) as collection:
                        collection.preload()

    def warm_up(self) -> None:
        """Search every collection once, so that the first query finds its models loaded."""
        for name in self.names():
            self._warm_up(name)

    def close(self) -> None:
        """Close every collection; builds in the background are abandoned, which loses nothing."""
        for name in list(self._open):
            self._close(name)
        if self.batches is not None:
            self.batches.close()

    def problems(self) -> dict[str, Problem]:
        """What is wrong with each index that has a problem, by name.

        Those that could not be searched when the server started are searched again.
        """
        found = {name: self._problem(name) for name in self.names()}
        return {name: problem for name, problem in found.items() if problem is not None}

    def any_searched(self, problems: Mapping[str, Problem]) -> bool:
        """Whether any index is searched, of which some have these problems; none need be there."""
        names = self.names()
        return not names or any(name not in problems or problems[name].searched for name in names)

    def describe_all(self) -> list[IndexAnswer | BrokenIndex]:
        """All collections, by name; of one that can't be read, its name and what is wrong."""
        found: list[IndexAnswer | BrokenIndex] = []
        for name in self.names():
            try:
                found.append(self.describe(name))
            # Whatever it is, the others are listed.
            except Exception as error:
                if self.has(name):
                    found.append({"name": name, "problem": self._explained(name, error)})
        return found

    def describe(self, name: str) -> IndexAnswer:
        """Name, number of documents and fields of one collection."""
        name = self.resolved(name)
        collection = self[name]
        snapshot = self.snapshot(name)
        answer: IndexAnswer = {
            "name": name,
            "aliases": sorted(each for each, target in self.aliases.items() if target == name),
            "documents": len(collection),
            "fields": [
                {
                    "name": field.name,
                    "kind": field.kind,
                    "encoder": short_name(field.encoder),
                    "fingerprint": field.fingerprint,
                    "size": field.size,
                    "inference_free": self._inference_free(name, collection, field),
                }
                for field in collection.fields
            ],
        }
        if snapshot is not None:
            answer["snapshot"] = snapshot
        return answer

    def _inference_free(self, name: str, collection: Writable, field: Field) -> bool:
        # An encoder that could not be loaded is not tried again for this.
        if field.kind == "dense" or name in self._unsearchable:
            return False
        try:
            return collection.fields.encoder(field).inference_free
        except LsrError:
            return False

    def _warm_up(self, name: str) -> None:
        self._unsearchable.pop(name, None)
        try:
            collection = self[name]
            imported = any(field.encoder == IMPORTED for field in collection.fields)
            search(collection, SearchQuery("warm up", sparse=([], []) if imported else None))
        # Whatever it is, the others are served.
        except Exception as error:
            if self.has(name):
                self._unsearchable[name] = self._explained(name, error)

    def _problem(self, name: str) -> Problem | None:
        if name in self._unsearchable:
            self._warm_up(name)
        if name in self._unsearchable:
            return Problem(self._unsearchable[name], searched=False)
        try:
            collection = self[name]
            collection.store.revision()
        except Exception as error:
            there = self.has(name)
            return Problem(self._explained(name, error), searched=False) if there else None
        failure = collection.write_failure or collection.maintenance.failure
        if failure is not None:
            return Problem(self._explained(name, failure), searched=True)
        self._told.pop(name, None)
        return None

    def _explained(self, name: str, error: Exception) -> str:
        """One sentence for clients, without the place of its files; a new one is logged."""
        if self._told.get(name) != str(error):
            self._told[name] = str(error)
            known = isinstance(error, LsrError)
            log.warning("the index %r: %s", name, error, exc_info=None if known else error)
        if not isinstance(error, LsrError):
            reason = error.strerror if isinstance(error, OSError) else error
            return f"it can't be read ({reason}); look it over with: lsr check"
        return self.without_paths(str(error))

    def _close(self, name: str) -> None:
        opened = self._open.pop(name, None)
        if opened is not None:
            opened[1].close()

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
        self._close(name)
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


def _identity(place: Place) -> object:
    """What no other collection at that place has, while one is open.

    A collection in Qdrant notices itself that its name stands for another.
    """
    if not isinstance(place, Path):
        return place
    return place.stat().st_ino, (place / STORE_FILE).stat().st_ino


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
