"""Qdrant's REST API, as the client speaks it, over the client's own local mode.

Bodies are read by the client's models of the API, so what it sends is what the API takes.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from qdrant_client import QdrantClient, models

VERSION = "1.19.2"
UPDATED = {"operation_id": 1, "status": "completed"}


def plain(value):
    """What the API answers, of what the local client gives."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


class Api:
    """One method a route; each takes the collection's name and the body."""

    def __init__(self):
        self.client = QdrantClient(":memory:")
        self.indexed = set()

    def get_collections(self):
        return plain(self.client.get_collections())

    def get_aliases(self):
        return plain(self.client.get_aliases())

    def put(self, name, body):
        asked = models.CreateCollection.model_validate(body)
        return self.client.create_collection(
            name,
            vectors_config=asked.vectors,
            sparse_vectors_config=asked.sparse_vectors,
        )

    def delete(self, name, body):
        return self.client.delete_collection(name)

    def put_index(self, name, body):
        self.indexed.add(models.CreateFieldIndex.model_validate(body).field_name)
        return UPDATED

    def post_points_batch(self, name, body):
        operations = models.UpdateOperations.model_validate(body).operations
        self.client.batch_update_points(name, operations)
        return [UPDATED] * len(operations)

    def put_points(self, name, body):
        asked = models.PointsList.model_validate(body)
        self.client.upsert(name, asked.points, update_filter=asked.update_filter)
        return UPDATED

    def post_points_payload(self, name, body):
        asked = models.SetPayload.model_validate(body)
        self.client.set_payload(name, asked.payload, asked.points)
        return UPDATED

    def put_points_vectors(self, name, body):
        asked = models.UpdateVectors.model_validate(body)
        self.client.update_vectors(name, asked.points)
        return UPDATED

    def post_points_delete(self, name, body):
        kind = models.FilterSelector if "filter" in body else models.PointIdsList
        self.client.delete(name, kind.model_validate(body))
        return UPDATED

    def post_points(self, name, body):
        asked = models.PointRequest.model_validate(body)
        found = self.client.retrieve(name, asked.ids, asked.with_payload, asked.with_vector)
        return plain(found)

    def post_points_scroll(self, name, body):
        asked = models.ScrollRequest.model_validate(body)
        found, following = self.client.scroll(
            name, asked.filter, asked.limit, None, asked.offset, asked.with_payload,
            asked.with_vector,
        )  # fmt: skip
        return {"points": plain(found), "next_page_offset": following}

    def post_points_count(self, name, body):
        return plain(self.client.count(name, models.CountRequest.model_validate(body).filter))

    def post_points_query_batch(self, name, body):
        asked = models.QueryRequestBatch.model_validate(body)
        return plain(self.client.query_batch_points(name, asked.searches))

    def post_facet(self, name, body):
        asked = models.FacetRequest.model_validate(body)
        assert asked.key in self.indexed
        return plain(self.client.facet(name, asked.key, asked.filter, asked.limit))

    def post_aliases(self, name, body):
        assert name == "collections"
        return self.client.update_collection_aliases(
            models.ChangeAliasesOperation.model_validate(body).actions
        )


class Handler(BaseHTTPRequestHandler):
    """Finds the route of a request."""

    def answer(self):
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else {}
        path = self.path.partition("?")[0]
        try:
            with self.server.lock:
                status, found = 200, self.routed(path, body)
        except ValueError as error:
            status, found = 404 if "not found" in str(error) else 400, None
            self.reply(status, {"status": {"error": str(error)}, "time": 0.0})
            return
        whole = found if path == "/" else {"result": found, "status": "ok", "time": 0.0}
        self.reply(status, whole)

    def routed(self, path, body):
        api = self.server.api
        if path == "/":
            return {"title": "qdrant", "version": VERSION}
        if path == "/collections/aliases":
            return api.post_aliases("collections", body)
        name, _, rest = re.sub("^/collections/?", "", path).partition("/")
        parts = [self.command.lower(), *filter(None, rest.split("/"))]
        if path in ("/collections", "/aliases"):
            return getattr(api, f"get{path.replace('/', '_')}")()
        return getattr(api, "_".join(parts))(name, body)

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def reply(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def serving():
    """A server at a free port of the loopback address; ``shutdown`` ends it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.api, server.lock = Api(), threading.Lock()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
