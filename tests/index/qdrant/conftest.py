import os
import secrets
import warnings

import pytest

from index.qdrant.address import QdrantAddress
from index.qdrant.client_port import ClientPort
from index.qdrant.collection import QdrantCollection
from index.qdrant.edge_port import EdgePort

SERVER = "LSR_QDRANT_URL"
KINDS = [
    "edge",
    "local",
    pytest.param(
        "server",
        marks=pytest.mark.skipif(
            SERVER not in os.environ, reason=f"needs a server of Qdrant, named by {SERVER}"
        ),
    ),
]


@pytest.fixture(params=KINDS)
def new_port(request, tmp_path_factory):
    """Makes ports to names that are free: of Qdrant's engine, its client's local mode, a server."""
    pytest.importorskip("qdrant_client")
    pytest.importorskip("qdrant_edge")
    from qdrant_client import QdrantClient

    made = []
    folder = tmp_path_factory.mktemp("qdrant")

    def make():
        name = f"lsr-test-{secrets.token_hex(8)}"
        if request.param == "edge":
            port = EdgePort(QdrantAddress.parse(f"qdrant-edge://{folder}/{name}"))
        elif request.param == "local":
            port = ClientPort(QdrantClient(":memory:"), name)
        else:
            client = QdrantClient(url=os.environ[SERVER], timeout=60, check_compatibility=False)
            port = ClientPort(client, name, QdrantAddress.parse(f"qdrant://server/{name}"))
        made.append(port)
        return port

    with warnings.catch_warnings():
        # The local mode tells that it searches exactly, whatever it is asked.
        warnings.filterwarnings("ignore", message=".*search_params.*")
        yield make
        for port in made:
            port.drop()
            port.close()


@pytest.fixture
def new_collection(new_port):
    """Makes empty collections in Qdrant, as ``QdrantCollection.create`` does."""

    def make(fields, vocabulary=None, passages="off"):
        return QdrantCollection.create_at(new_port(), fields, vocabulary, passages=passages)

    return make
