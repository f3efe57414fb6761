"""A collection in Qdrant is reached, and a new one made."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from index.collection.field import Field
from index.qdrant.address import QdrantAddress
from index.qdrant.client_port import connect
from index.qdrant.edge_port import EdgePort
from index.qdrant.layout import HAS, ID, Record, record_number
from index.qdrant.port import Layout, Point, QdrantPort
from index.qdrant.state import new_state
from lsr.errors import ConflictError, UsageError

# Conditional updates, exact sparse search with filters, and facets as we need them.
OLDEST = (1, 19, 2)


def open_port(address: QdrantAddress) -> QdrantPort:
    """The way to the collection of an address, be it there or not.

    Raises:
        UnavailableError: the server can't be reached.
        UsageError: it refuses the key, or is older than ``OLDEST``.
        MissingDependencyError: a package is missing.
    """
    if address.folder is not None:
        return EdgePort(address)
    port = connect(address)
    version = port.version()
    numbers = tuple(int(part) for part in version.split("-")[0].split(".") if part.isdigit())
    if numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise UsageError(
            f"the server at {address} is Qdrant {version}; lsr needs {oldest} or later, so update "
            "the server"
        )
    return port


def is_made(port: QdrantPort) -> bool:
    """Whether there is a collection of lsr's, or of anybody's that is not empty.

    One whose making was interrupted is none yet.
    """
    return port.exists() and (
        bool(port.retrieve([record_number(Record.STATE)], payload=False)) or port.count() > 0
    )


def make(
    port: QdrantPort,
    fields: Sequence[Field],
    passages: str,
    settings: Layout | None = None,
    source: str = "",
) -> None:
    """Make an empty collection.

    Args:
        port: of its name.
        fields: of the collection.
        passages: whether documents are split.
        settings: its shards and replicas; None: Qdrant's defaults.
        source: as of ``State``.

    Raises:
        ConflictError: there is one of that name.
    """
    if is_made(port):
        raise ConflictError(
            f"there is a collection {port.name!r} in Qdrant already; give another name"
        )
    port.drop()
    shards, replicas = (settings.shards, settings.replicas) if settings else (None, None)
    sparse = tuple(field.name for field in fields if field.kind == "sparse")
    dense = {field.name: field.size for field in fields if field.kind == "dense"}
    port.create(Layout(sparse, dense, shards, replicas))
    for path in (ID, HAS):
        port.index_payload(path, "keyword")
    state = new_state(secrets.token_hex(16), list(fields), passages, source)
    # Last: until then it is no collection of lsr's.
    port.write([Point(record_number(Record.STATE), state.payload)])
