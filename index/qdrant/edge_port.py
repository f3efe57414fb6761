"""A port to Qdrant's engine in this process: its segments, without its server."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from index.qdrant.address import EDGE, QdrantAddress
from index.qdrant.conditions import Between, Condition, Either, Every, Match, Neither, Points
from index.qdrant.port import (
    Found,
    Layout,
    Payload,
    PayloadIndex,
    Point,
    Vector,
    sorted_vector,
)
from lsr.errors import LockedError, MissingDependencyError, NotFoundError, UsageError
from lsr.sparse import SparseBatch, SparseVector
from lsr.whole_folder import appearing

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard

# Points that one call asks for, or brings.
AT_ONCE = 1024
_CONFIG = "edge_config.json"


class _OpenShards:
    """The shards that are open in this process: an engine has its folder for itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Path, tuple[EdgeShard, int]] = {}

    def take(self, folder: Path, opened: Callable[[], EdgeShard]) -> EdgeShard:
        """The shard of a folder, opened if no one has it."""
        with self._lock:
            shard, users = self._held.get(folder) or (opened(), 0)
            self._held[folder] = shard, users + 1
            return shard

    def release(self, folder: Path) -> None:
        """Close the shard of a folder once no one has it."""
        with self._lock:
            shard, users = self._held.pop(folder)
            if users > 1:
                self._held[folder] = shard, users - 1
            else:
                shard.close()


_SHARDS = _OpenShards()


class EdgePort:
    """``QdrantPort`` over qdrant-edge: one shard, of one process, in a folder.

    There are no aliases, and nothing is optimised but by ``flush``.
    """

    def __init__(
        self, address: QdrantAddress, threads: int | None = None, durable: bool = True
    ) -> None:
        """The port to the folder of an address.

        Of a collection that is made here, ``threads`` search (None: as many as there are cores),
        and writes are ``durable`` as soon as they return, or else once they are flushed.

        Raises:
            MissingDependencyError: qdrant-edge is not installed.
        """
        try:
            import qdrant_edge
        except ImportError as error:
            raise MissingDependencyError(
                "Qdrant's engine in this process", "qdrant-edge-py", "qdrant"
            ) from error
        assert address.folder is not None
        self._edge = qdrant_edge
        self.name = address.name
        self.address = address
        self.folder = (address.folder / address.name).resolve()
        self._threads = threads
        self._durable = durable
        self._shard: EdgeShard | None = None
        self._opening = threading.Lock()

    def at(self, name: str) -> EdgePort:
        """As ``QdrantPort``."""
        return self if name == self.name else EdgePort(self.address.named(name), self._threads)

    def exists(self) -> bool:
        """As ``QdrantPort``."""
        return (self.folder / _CONFIG).is_file()

    def create(self, layout: Layout) -> None:
        """As ``QdrantPort``."""
        edge = self._edge
        if self.exists():
            raise UsageError(f"{self.address} holds a collection already; give another folder")
        if layout.shards not in (None, 1) or layout.replicas not in (None, 1):
            raise UsageError(f"{EDGE}:// has one shard and no replicas; leave out their numbers")
        config = edge.EdgeConfig(
            vectors={
                name: edge.EdgeVectorParams(size=size, distance=edge.Distance.Dot)
                for name, size in layout.dense.items()
            },
            sparse_vectors={name: edge.EdgeSparseVectorParams() for name in layout.sparse},
            max_search_threads=self._threads,
            wal_enabled=self._durable,
        )
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with appearing(self.folder) as place:
                edge.EdgeShard.create(str(place), config).close()
        except OSError as error:
            raise UsageError(
                f"{self.address} can't be made ({error.strerror}); give another folder"
            ) from error

    def drop(self) -> None:
        """As ``QdrantPort``."""
        self.close()
        if self.exists():
            shutil.rmtree(self.folder)

    def index_payload(self, path: str, kind: PayloadIndex) -> None:
        """As ``QdrantPort``."""
        schema = getattr(self._edge.PayloadSchemaType, kind.capitalize())
        self._update(self._edge.UpdateOperation.create_field_index(path, schema))

    def write(self, upserts: Sequence[Point], deletes: Sequence[int] = ()) -> None:
        """As ``QdrantPort``."""
        edge = self._edge
        if deletes:
            self._update(edge.UpdateOperation.delete_points(list(deletes)))
        for start in range(0, len(upserts), AT_ONCE):
            part = [
                edge.Point(
                    id=point.number,
                    payload=dict(point.payload),
                    vector={name: self._vector(each) for name, each in point.vectors.items()},
                )
                for point in upserts[start : start + AT_ONCE]
            ]
            self._update(edge.UpdateOperation.upsert_points(part))

    def write_if(self, point: Point, condition: Condition) -> None:
        """As ``QdrantPort``."""
        edge = self._edge
        vectors = {name: self._vector(each) for name, each in point.vectors.items()}
        written = edge.Point(id=point.number, payload=dict(point.payload), vector=vectors)
        self._update(
            edge.UpdateOperation.upsert_points([written], condition=self._filter(condition))
        )

    def set_payload(self, number: int, payload: Payload) -> None:
        """As ``QdrantPort``."""
        self._update(self._edge.UpdateOperation.set_payload([number], dict(payload)))

    def set_vectors(self, points: Sequence[Point]) -> None:
        """As ``QdrantPort``."""
        edge = self._edge
        self._update(
            edge.UpdateOperation.update_vectors(
                [
                    edge.PointVectors(
                        each.number,
                        {name: self._vector(vector) for name, vector in each.vectors.items()},
                    )
                    for each in points
                ]
            )
        )

    def delete_matching(self, condition: Condition) -> None:
        """As ``QdrantPort``."""
        operation = self._edge.UpdateOperation.delete_points_by_filter(self._filter(condition))
        self._update(operation)

    def retrieve(
        self,
        numbers: Sequence[int],
        payload: bool | Sequence[str] = True,
        vectors: Sequence[str] = (),
    ) -> dict[int, Point]:
        """As ``QdrantPort``."""
        if not numbers:
            return {}
        with self._open() as shard:
            records = shard.retrieve(list(numbers), _wanted(payload), list(vectors) or False)
        return {int(record.id): _point(record) for record in records}

    def search(
        self,
        vector: str,
        queries: SparseBatch | NDArray[np.float32],
        limit: int,
        condition: Condition | None = None,
    ) -> list[Found]:
        """As ``QdrantPort``."""
        edge = self._edge
        wanted = None if condition is None else self._filter(condition)
        params = edge.SearchParams(exact=True)
        found = []
        with self._open() as shard:
            for row in queries:
                query = edge.Query.Nearest(self._vector(row), using=vector)
                points = shard.query(
                    edge.QueryRequest(limit=limit, query=query, filter=wanted, params=params)
                )
                found.append(
                    Found(
                        np.array([point.id for point in points], dtype=np.int64),
                        np.array([point.score for point in points], dtype=np.float32),
                    )
                )
        return found

    def scroll(
        self,
        condition: Condition | None = None,
        after: int = -1,
        limit: int | None = None,
        payload: bool | Sequence[str] = True,
        vectors: Sequence[str] = (),
    ) -> Iterator[Point]:
        """As ``QdrantPort``."""
        wanted = None if condition is None else self._filter(condition)
        left, offset = limit, after + 1
        while left is None or left > 0:
            request = self._edge.ScrollRequest(
                offset=offset,
                limit=AT_ONCE if left is None else min(left, AT_ONCE),
                filter=wanted,
                with_payload=_wanted(payload),
                with_vector=list(vectors) or False,
            )
            with self._open() as shard:
                records, following = shard.scroll(request)
            yield from map(_point, records)
            if following is None:
                return
            left, offset = None if left is None else left - len(records), int(str(following))

    def count(self, condition: Condition | None = None) -> int:
        """As ``QdrantPort``."""
        wanted = None if condition is None else self._filter(condition)
        with self._open() as shard:
            return int(shard.count(self._edge.CountRequest(exact=True, filter=wanted)))

    def facet(
        self, path: str, limit: int, condition: Condition | None = None
    ) -> dict[str | int, int]:
        """As ``QdrantPort``."""
        wanted = None if condition is None else self._filter(condition)
        request = self._edge.FacetRequest(path, limit=limit, exact=True, filter=wanted)
        with self._open() as shard:
            return {hit.value: int(hit.count) for hit in shard.facet(request).hits}

    def names(self) -> dict[str, str]:
        """As ``QdrantPort``."""
        folders = self.folder.parent.iterdir() if self.folder.parent.is_dir() else ()
        return {each.name: each.name for each in folders if (each / _CONFIG).is_file()}

    def switch_alias(self, alias: str, name: str | None) -> None:
        """As ``QdrantPort``."""
        raise UsageError(f"{EDGE}:// has no aliases; use a server of Qdrant")

    def snapshot(self, target: Path) -> Path:
        """As ``QdrantPort``."""
        self.flush()
        place = target / f"{self.name}.snapshot"
        with appearing(place, replace=True) as copy:
            shutil.copytree(self.folder, copy, dirs_exist_ok=True)
        return place

    def flush(self) -> None:
        """As ``QdrantPort``."""
        with self._open() as shard:
            shard.optimize()
            shard.flush()

    def close(self) -> None:
        """As ``QdrantPort``."""
        with self._opening:
            if self._shard is not None:
                self._shard = None
                _SHARDS.release(self.folder)

    @contextmanager
    def _open(self) -> Iterator[EdgeShard]:
        """The shard, opened on first use; what the engine refuses inside is an error of ours."""
        with self._opening:
            if self._shard is None:
                self._shard = _SHARDS.take(self.folder, self._load)
            shard = self._shard
        try:
            yield shard
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            raise UsageError(f"{self.address} refuses the request ({said})") from error

    def _load(self) -> EdgeShard:
        if not self.exists():
            raise NotFoundError(
                f"there is no collection at {self.address}; give the address of one"
            )
        try:
            return self._edge.EdgeShard.load(str(self.folder))
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            if "WAL" in said and "WouldBlock" in said:
                raise LockedError(
                    f"another process has {self.address} open, and Qdrant's engine lets one at a "
                    "time; wait until it has finished"
                ) from error
            raise UsageError(f"{self.address} can't be opened ({said})") from error

    def _update(self, operation: Any) -> None:
        with self._open() as shard:
            shard.update(operation)

    def _vector(self, vector: Vector) -> Any:
        if not isinstance(vector, SparseVector):
            return vector.tolist()
        return self._edge.SparseVector(
            indices=vector.indices.tolist(), values=vector.values.tolist()
        )

    def _filter(self, condition: Condition) -> Any:
        """The filter of the engine that holds where a condition does."""
        edge = self._edge
        if isinstance(condition, Every):
            return edge.Filter(must=[self._filter(part) for part in condition.parts])
        if isinstance(condition, Either):
            if not condition.parts:
                return self._filter(Points(()))
            return edge.Filter(should=[self._filter(part) for part in condition.parts])
        if isinstance(condition, Neither):
            return edge.Filter(must_not=[self._filter(condition.part)])
        return edge.Filter(must=[self._condition(condition)])

    def _condition(self, condition: Match | Between | Points) -> Any:
        edge = self._edge
        if isinstance(condition, Points):
            return edge.HasIdCondition(set(condition.numbers))
        if isinstance(condition, Match):
            match = edge.MatchAny(any=list(condition.values))
            return edge.FieldCondition(key=condition.path, match=match)
        bounds = edge.RangeDateTime if condition.of_instants else edge.RangeFloat
        return edge.FieldCondition(key=condition.path, range=bounds(**condition.bounds))


def _wanted(payload: bool | Sequence[str]) -> Any:
    return payload if isinstance(payload, bool) else list(payload)


def _point(record: Any) -> Point:
    vectors: dict[str, Vector] = {}
    for name, vector in (record.vector or {}).items():
        if isinstance(vector, list):
            vectors[name] = np.array(vector, dtype=np.float32)
        else:
            vectors[name] = sorted_vector(vector.indices, vector.values)
    return Point(int(record.id), record.payload or {}, vectors)
