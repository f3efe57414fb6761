"""A collection in Qdrant is reached, and a new one made."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from index.collection.field import Field
from index.collection.passage_table import AUTO, OFF
from index.qdrant.address import EDGE, QdrantAddress
from index.qdrant.client_port import connect
from index.qdrant.edge_port import EdgePort
from index.qdrant.layout import ALWAYS_INDEXED, RECORDS, Record, record_number
from index.qdrant.port import Layout, Point, QdrantPort
from index.qdrant.state import new_state
from index.qdrant.words import WordList
from lsr.errors import UsageError
from lsr.settings import check_choice
from lsr.vocabulary import Vocabulary

# Conditional updates, exact sparse search with filters, and facets as we need them.
OLDEST = (1, 19, 2)


def port_of(address: QdrantAddress) -> QdrantPort:
    """The port to the collection of an address, be it there or not.

    Raises:
        UnavailableError: the server can't be reached.
        UsageError: it refuses the key, or is older than ``OLDEST``.
        MissingDependencyError: the package that it needs is not installed.
    """
    if address.scheme == EDGE:
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
    """Whether there is a collection, of lsr's or of anybody's that is not empty.

    One whose making was interrupted is none yet.
    """
    if not port.exists():
        return False
    state = port.retrieve([record_number(Record.STATE)], payload=False)
    return bool(state) or any(point.number < RECORDS for point in port.scroll(limit=1))


def make(
    port: QdrantPort,
    fields: Sequence[Field],
    passages: str,
    vocabulary: Vocabulary | None = None,
    shards: int | None = None,
    replicas: int | None = None,
) -> None:
    """Make an empty collection by a port to its name.

    Args:
        port: to a name that is free.
        fields: of the collection.
        passages: whether documents are split: "auto" or "off".
        vocabulary: that of a field of imported vectors.
        shards: how many Qdrant makes; None: as many as it does by itself.
        replicas: likewise, copies of each.

    Raises:
        UsageError: there is one already, ``passages`` is neither, or Qdrant makes none.
    """
    check_choice("passages", passages, (AUTO, OFF))
    if is_made(port):
        raise UsageError(
            f"there is a collection {port.name!r} in Qdrant already; open it or give another name"
        )
    port.drop()
    sparse = tuple(field.name for field in fields if field.kind == "sparse")
    dense = {field.name: field.size for field in fields if field.kind == "dense"}
    port.create(Layout(sparse, dense, shards, replicas))
    for path, kind in ALWAYS_INDEXED:
        port.index_payload(path, kind)
    state = new_state(secrets.token_hex(16), list(fields), passages)
    if vocabulary is not None:
        WordList(port, Record.TOKENS).write(vocabulary.tokens, 0, state.version)
        state = replace(state, tokens=len(vocabulary.tokens))
    # Last: until then it is no collection of lsr's.
    port.write([Point(record_number(Record.STATE), state.payload)])
