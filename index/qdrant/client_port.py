"""A port over qdrant-client: to a server, or to the client's own local mode."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.request import Request, urlopen

import numpy as np
from numpy.typing import NDArray

from index.qdrant.address import KEY_VARIABLE, QdrantAddress, api_key
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
from lsr.errors import LsrError, MissingDependencyError, NotFoundError, UnavailableError, UsageError
from lsr.sparse import SparseBatch, SparseVector

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

P = ParamSpec("P")
T = TypeVar("T")
# Points that one request asks for, or brings.
AT_ONCE = 256
# Queries of one request.
QUERIES_AT_ONCE = 64
# Seconds until an answer must be there.
TIMEOUT = 60
# Types of errors by their names: of HTTP and gRPC, which need not both be there.
_UNREACHED = {"ResponseHandlingException", "ConnectError", "ConnectionError", "TimeoutException"}
_REFUSED = {"UNAUTHENTICATED", "PERMISSION_DENIED"}


def connect(address: QdrantAddress) -> ClientPort:
    """The port to a server, by the key of the environment.

    Raises:
        MissingDependencyError: qdrant-client is not installed.
    """
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise MissingDependencyError("a collection in Qdrant", "qdrant-client", "qdrant") from error
    client = QdrantClient(
        url=address.url,
        prefix=address.prefix or None,
        grpc_port=address.grpc_port or 6334,
        prefer_grpc=address.grpc_port is not None,
        api_key=api_key(),
        timeout=TIMEOUT,
        check_compatibility=False,
    )
    return ClientPort(client, address.name, address)


def _told(call: Callable[P, T]) -> Callable[P, T]:
    """A method whose errors are ours."""

    @wraps(call)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        """As ``QdrantPort``."""
        try:
            return call(*args, **kwargs)
        except LsrError:
            raise
        except Exception as error:
            port = args[0]
            assert isinstance(port, ClientPort)
            raise port.explained(error) from error

    return told


class ClientPort:
    """``QdrantPort`` over qdrant-client.

    ``address`` is where the server is; None: it is the client's local mode, in which payload
    indexes don't exist and are not missed.
    """

    def __init__(
        self, client: QdrantClient, name: str, address: QdrantAddress | None = None
    ) -> None:
        self.client = client
        self.name = name
        self.address = address

    def explained(self, error: Exception) -> LsrError:
        """The error of this package that says what an error of the client means."""
        where = f"{self.address or 'Qdrant'}"
        status = getattr(error, "status_code", None)
        code = error.code().name if callable(getattr(error, "code", None)) else ""  # type: ignore[attr-defined]
        kinds = {each.__name__ for each in type(error).__mro__}
        if status in (401, 403) or code in _REFUSED:
            return UsageError(f"{where} refuses the key; set {KEY_VARIABLE} in the environment")
        if status == 404 or code == "NOT_FOUND" or "not found" in str(error)[:300].lower():
            return NotFoundError(
                f"there is no collection {self.name!r} at {where}; give the address of one"
            )
        if kinds & _UNREACHED or code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
            return UnavailableError(
                f"{where} can't be reached; is a server of Qdrant there, and is the port right?"
            )
        said = " ".join(str(error).split())[:300]
        if (status is not None and status >= 500) or code in ("INTERNAL", "RESOURCE_EXHAUSTED"):
            return UnavailableError(f"{where} could not answer ({said}); try again a little later")
        return UsageError(f"{where} refuses the request ({said})")

    @_told
    def version(self) -> str:
        """The server's version, as in 1.19.2."""
        return str(self.client.info().version)

    def at(self, name: str) -> ClientPort:
        """As ``QdrantPort``."""
        if name == self.name:
            return self
        address = None if self.address is None else self.address.named(name)
        return ClientPort(self.client, name, address)

    @_told
    def exists(self) -> bool:
        """As ``QdrantPort``."""
        return self.name in self._names()

    @_told
    def create(self, layout: Layout) -> None:
        """As ``QdrantPort``."""
        from qdrant_client import models

        self.client.create_collection(
            self.name,
            vectors_config={
                name: models.VectorParams(size=size, distance=models.Distance.DOT)
                for name, size in layout.dense.items()
            },
            sparse_vectors_config={
                name: models.SparseVectorParams(index=models.SparseIndexParams(on_disk=False))
                for name in layout.sparse
            },
            shard_number=layout.shards,
            replication_factor=layout.replicas,
        )

    @_told
    def drop(self) -> None:
        """As ``QdrantPort``."""
        if self.name in self._names():
            self.client.delete_collection(self.name)

    @_told
    def index_payload(self, path: str, kind: PayloadIndex) -> None:
        """As ``QdrantPort``."""
        from qdrant_client import models

        if self.address is not None:
            self.client.create_payload_index(
                self.name, path, models.PayloadSchemaType(kind), wait=True
            )

    @_told
    def write(self, upserts: Sequence[Point], deletes: Sequence[int] = ()) -> None:
        """As ``QdrantPort``."""
        from qdrant_client import models

        operations: list[Any] = []
        if deletes:
            selector = models.PointIdsList(points=list(deletes))
            operations.append(models.DeleteOperation(delete=selector))
        for start in range(0, len(upserts), AT_ONCE):
            part = [
                models.PointStruct(
                    id=point.number, payload=dict(point.payload), vector=_vectors(point.vectors)
                )
                for point in upserts[start : start + AT_ONCE]
            ]
            operations.append(models.UpsertOperation(upsert=models.PointsList(points=part)))
        if operations:
            self.client.batch_update_points(self.name, operations, wait=True)

    @_told
    def write_if(self, point: Point, condition: Condition) -> None:
        """As ``QdrantPort``."""
        from qdrant_client import models

        written = models.PointStruct(
            id=point.number, payload=dict(point.payload), vector=_vectors(point.vectors)
        )
        self.client.upsert(
            self.name,
            [written],
            wait=True,
            ordering=models.WriteOrdering.STRONG,
            update_filter=_filter(condition),
        )

    @_told
    def set_payload(self, number: int, payload: Payload) -> None:
        """As ``QdrantPort``."""
        self.client.set_payload(self.name, dict(payload), [number], wait=True)

    @_told
    def set_vectors(self, points: Sequence[Point]) -> None:
        """As ``QdrantPort``."""
        from qdrant_client import models

        self.client.update_vectors(
            self.name,
            [models.PointVectors(id=each.number, vector=_vectors(each.vectors)) for each in points],
            wait=True,
        )

    @_told
    def delete_matching(self, condition: Condition) -> None:
        """As ``QdrantPort``."""
        from qdrant_client import models

        selector = models.FilterSelector(filter=_filter(condition))
        self.client.delete(self.name, selector, wait=True)

    @_told
    def retrieve(
        self,
        numbers: Sequence[int],
        payload: bool | Sequence[str] = True,
        vectors: Sequence[str] = (),
    ) -> dict[int, Point]:
        """As ``QdrantPort``."""
        found: dict[int, Point] = {}
        for start in range(0, len(numbers), AT_ONCE):
            records = self.client.retrieve(
                self.name,
                list(numbers[start : start + AT_ONCE]),
                with_payload=payload if isinstance(payload, bool) else list(payload),
                with_vectors=list(vectors) or False,
            )
            found |= {int(record.id): _point(record) for record in records}
        return found

    @_told
    def search(
        self,
        vector: str,
        queries: SparseBatch | NDArray[np.float32],
        limit: int,
        condition: Condition | None = None,
    ) -> list[Found]:
        """As ``QdrantPort``."""
        from qdrant_client import models

        wanted = None if condition is None else _filter(condition)
        requests = [
            models.QueryRequest(
                query=_vector(row),
                using=vector,
                limit=limit,
                filter=wanted,
                params=models.SearchParams(exact=True),
            )
            for row in queries
        ]
        found = []
        for start in range(0, len(requests), QUERIES_AT_ONCE):
            part = requests[start : start + QUERIES_AT_ONCE]
            for response in self.client.query_batch_points(self.name, part):
                points = response.points
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
        left = limit
        offset: int | None = after + 1
        while offset is not None and (left is None or left > 0):
            page, offset = self._page(
                condition, offset, AT_ONCE if left is None else min(left, AT_ONCE), payload, vectors
            )
            left = None if left is None else left - len(page)
            yield from page

    @_told
    def _page(
        self,
        condition: Condition | None,
        offset: int,
        limit: int,
        payload: bool | Sequence[str],
        vectors: Sequence[str],
    ) -> tuple[list[Point], int | None]:
        records, following = self.client.scroll(
            self.name,
            scroll_filter=None if condition is None else _filter(condition),
            limit=limit,
            offset=offset,
            with_payload=payload if isinstance(payload, bool) else list(payload),
            with_vectors=list(vectors) or False,
        )
        return [_point(record) for record in records], _number(following)

    @_told
    def count(self, condition: Condition | None = None) -> int:
        """As ``QdrantPort``."""
        wanted = None if condition is None else _filter(condition)
        return int(self.client.count(self.name, wanted, exact=True).count)

    @_told
    def facet(
        self, path: str, limit: int, condition: Condition | None = None
    ) -> dict[str | int, int]:
        """As ``QdrantPort``."""
        wanted = None if condition is None else _filter(condition)
        found = self.client.facet(self.name, path, wanted, limit=limit, exact=True)
        return {hit.value: int(hit.count) for hit in found.hits}

    @_told
    def names(self) -> dict[str, str]:
        """As ``QdrantPort``."""
        return self._names()

    def _names(self) -> dict[str, str]:
        there = {each.name: each.name for each in self.client.get_collections().collections}
        aliases = self.client.get_aliases().aliases
        return there | {each.alias_name: each.collection_name for each in aliases}

    @_told
    def switch_alias(self, alias: str, name: str | None) -> None:
        """As ``QdrantPort``."""
        from qdrant_client import models

        changes: list[Any] = []
        if self._names().get(alias, alias) != alias:
            gone = models.DeleteAlias(alias_name=alias)
            changes.append(models.DeleteAliasOperation(delete_alias=gone))
        if name is not None:
            new = models.CreateAlias(collection_name=name, alias_name=alias)
            changes.append(models.CreateAliasOperation(create_alias=new))
        if changes:
            self.client.update_collection_aliases(changes)

    @_told
    def snapshot(self, target: Path) -> Path:
        """As ``QdrantPort``."""
        if self.address is None:
            raise UsageError("the local mode of qdrant-client makes no snapshots; use a server")
        made = self.client.create_snapshot(self.name, wait=True)
        if made is None:
            raise UnavailableError(f"{self.address} made no snapshot; try again a little later")
        place = f"{self.address.url}/{self.address.prefix}".rstrip("/")
        url = f"{place}/collections/{self.name}/snapshots/{made.name}"
        key = api_key()
        request = Request(url, headers={"api-key": key} if key else {})  # noqa: S310
        path = target / Path(made.name).name
        beside = path.with_suffix(".part")
        with urlopen(request, timeout=TIMEOUT) as answer, beside.open("wb") as file:  # noqa: S310
            shutil.copyfileobj(answer, file)
        beside.replace(path)
        self.client.delete_snapshot(self.name, made.name, wait=True)
        return path

    def flush(self) -> None:
        """A server has what it acknowledged in its log."""

    def close(self) -> None:
        """As ``QdrantPort``."""
        self.client.close()


def _vector(vector: Vector) -> Any:
    if not isinstance(vector, SparseVector):
        return vector.tolist()
    from qdrant_client import models

    return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())


def _vectors(vectors: Mapping[str, Vector]) -> Any:
    return {name: _vector(vector) for name, vector in vectors.items()}


def _point(record: Any) -> Point:
    vectors: dict[str, Vector] = {}
    for name, vector in (record.vector or {}).items():
        if isinstance(vector, list):
            vectors[name] = np.array(vector, dtype=np.float32)
        else:
            vectors[name] = sorted_vector(vector.indices, vector.values)
    return Point(int(record.id), record.payload or {}, vectors)


def _number(offset: Any) -> int | None:
    return None if offset is None else int(getattr(offset, "num", offset))


def _filter(condition: Condition) -> Any:
    """The filter of the client that holds where a condition does."""
    from qdrant_client import models

    if isinstance(condition, Every):
        return models.Filter(must=[_filter(part) for part in condition.parts])
    if isinstance(condition, Either):
        if not condition.parts:
            return _filter(Points(()))
        return models.Filter(should=[_filter(part) for part in condition.parts])
    if isinstance(condition, Neither):
        return models.Filter(must_not=[_filter(condition.part)])
    return models.Filter(must=[_condition(condition)])


def _condition(condition: Match | Between | Points) -> Any:
    from qdrant_client import models

    if isinstance(condition, Points):
        return models.HasIdCondition(has_id=list(condition.numbers))
    if isinstance(condition, Match):
        match = models.MatchAny.model_validate({"any": condition.values})
        return models.FieldCondition(key=condition.path, match=match)
    if condition.of_instants:
        return models.FieldCondition(
            key=condition.path, range=models.DatetimeRange.model_validate(condition.bounds)
        )
    return models.FieldCondition(
        key=condition.path, range=models.Range.model_validate(condition.bounds)
    )
