"""A port over qdrant-client: to a server, or to the client's own local mode."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.request import Request, urlopen

import numpy as np
from numpy.typing import NDArray

from index.qdrant.address import SECURE, SERVER, QdrantAddress, api_key
from index.qdrant.client_errors import explained
from index.qdrant.client_models import filter_of, number_of_offset, point_of, vector_of, vectors_of
from index.qdrant.conditions import Condition
from index.qdrant.port import (
    Found,
    Layout,
    Payload,
    PayloadIndex,
    Point,
)
from lsr.errors import (
    LsrError,
    MissingDependencyError,
    UnavailableError,
    UsageError,
)
from lsr.sparse import SparseBatch

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
# Points that one request asks for, or brings.
AT_ONCE = 256
# Queries of one request.
QUERIES_AT_ONCE = 64
# Seconds until an answer must be there.
TIMEOUT = 60


def connect(address: QdrantAddress) -> ClientPort:
    """The port to a server, by the key of the environment.

    Raises:
        MissingDependencyError: qdrant-client is not installed.
    """
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise MissingDependencyError("a collection in Qdrant", "qdrant-client", "qdrant") from error
    key = api_key()
    if key and address.scheme == SERVER and address.host not in _LOOPBACK:
        log.warning(
            "the key goes to %s unencrypted; use %s:// where it speaks TLS", address, SECURE
        )
    with warnings.catch_warnings():
        # It says so of loopback too.
        warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
        client = QdrantClient(
            url=address.url,
            prefix=address.prefix or None,
            grpc_port=address.grpc_port or 6334,
            prefer_grpc=address.grpc_port is not None,
            api_key=key,
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
            raise explained(error, port.name, f"{port.address or 'Qdrant'}") from error

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
                    id=point.number, payload=dict(point.payload), vector=vectors_of(point.vectors)
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
            id=point.number, payload=dict(point.payload), vector=vectors_of(point.vectors)
        )
        self.client.upsert(
            self.name,
            [written],
            wait=True,
            ordering=models.WriteOrdering.STRONG,
            update_filter=filter_of(condition),
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
            [
                models.PointVectors(id=each.number, vector=vectors_of(each.vectors))
                for each in points
            ],
            wait=True,
        )

    @_told
    def delete_matching(self, condition: Condition) -> None:
        """As ``QdrantPort``."""
        from qdrant_client import models

        selector = models.FilterSelector(filter=filter_of(condition))
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
            found |= {int(record.id): point_of(record) for record in records}
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

        wanted = None if condition is None else filter_of(condition)
        requests = [
            models.QueryRequest(
                query=vector_of(row),
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
            scroll_filter=None if condition is None else filter_of(condition),
            limit=limit,
            offset=offset,
            with_payload=payload if isinstance(payload, bool) else list(payload),
            with_vectors=list(vectors) or False,
        )
        return [point_of(record) for record in records], number_of_offset(following)

    @_told
    def count(self, condition: Condition | None = None) -> int:
        """As ``QdrantPort``."""
        wanted = None if condition is None else filter_of(condition)
        return int(self.client.count(self.name, wanted, exact=True).count)

    @_told
    def facet(
        self, path: str, limit: int, condition: Condition | None = None
    ) -> dict[str | int, int]:
        """As ``QdrantPort``."""
        wanted = None if condition is None else filter_of(condition)
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
