"""The collections that a server serves, by name."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from index.collection.collection import STORE_FILE, Collection
from index.collection.field import Field
from index.collection.writable import Writable
from index.opening import Place, open_collection, place_of
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.encoders.encoder import short_name
from lsr.encoders.imported import IMPORTED
from lsr.encoding.query_batches import QueryBatches
from lsr.errors import LsrError, NotFoundError
from lsr.trusted_code import NO_CODE, TrustedCode
from service.api.index_places import IndexPlaces
from service.api.rerankers import ServedRerankers
from service.api.schemas.responses import BrokenIndex, IndexAnswer
from service.replica.state import Replica

log = logging.getLogger(__name__)


class Problem(NamedTuple):
    """What is wrong with an index, in a sentence, and whether it is searched all the same."""

    sentence: str
    searched: bool


class Indexes(IndexPlaces):
    """The collections at these places, open.

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
        super().__init__(paths)
        self._trusted = trusted
        self.batches = batches
        self.rerankers = ServedRerankers(rerankers, trusted)
        self._open: dict[str, tuple[object, Writable]] = {}
        self._opening: dict[str, threading.Lock] = {}
        self._unsearchable: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self.replica: Replica | None = None
        """What is said of a server that follows snapshots."""
        self.stopping = False

    def snapshot(self, name: str) -> str | None:
        """The snapshot that an index of a replica is a copy of, by any of its names."""
        if self.replica is None:
            return None
        return self.replica.snapshots.get(self.aliases.get(name, name))

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

    def _found(self, name: str) -> tuple[str, Place]:
        # One that is gone is no longer open either.
        if self._place(name) is None:
            self._close(name)
        return super()._found(name)


def _identity(place: Place) -> object:
    """What no other collection at that place has, while one is open.

    A collection in Qdrant notices itself that its name stands for another.
    """
    if not isinstance(place, Path):
        return place
    return place.stat().st_ino, (place / STORE_FILE).stat().st_ino
