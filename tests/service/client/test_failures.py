"""What the client does when a server is busy, loses connections, or is none of ours."""

import asyncio
import http.client
import json
import sys
import threading
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

import lsr
from lsr.errors import (
    InputError,
    LockedError,
    LsrError,
    NotFoundError,
    StorageFullError,
    UnavailableError,
    UsageError,
)
from service.api.errors import STATUS
from service.client import retries
from service.client.errors import BY_TYPE, error_of
from service.client.remote_collection import RemoteCollection
from service.client.retries import retry_after
from tests.service.pets import PETS

DESCRIBED = {"name": "pets", "documents": 3, "fields": [], "metadata": []}
KEY = "lsr_secret-of-this-client"


def refusal(status, kind, message, **headers):
    body = {"error": {"code": status, "type": kind, "message": message, "request_id": "r1"}}
    return status, headers, json.dumps(body).encode()


def answer(body):
    return 200, {}, json.dumps(body).encode()


LOSE = None
BUSY = refusal(503, "busy", "the server is busy; try again in a second", **{"Retry-After": "0"})


@contextmanager
def local(handler):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def scripted(*script):
    """A server that answers as the script says, the last forever; gives address and requests."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self):
            length = int(self.headers.get("Content-Length", 0))
            sent = self.rfile.read(length)
            requests.append((self.command, self.path, dict(self.headers), sent))
            step = script[min(len(requests), len(script)) - 1]
            if step is LOSE:
                self.close_connection = True
                return
            status, headers, body = step
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any

        def log_message(self, *_):
            pass

    with local(Handler) as address:
        yield address, requests


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_WAIT_S", 0.001)


@pytest.mark.parametrize(
    "failure",
    [
        BUSY,
        refusal(429, "too_many", "too many requests", **{"Retry-After": "0"}),
        refusal(409, "locked", "another process is writing to the index 'pets'"),
        (502, {}, b"<html>bad gateway</html>"),
        LOSE,
    ],
    ids=["busy", "too many", "locked", "proxy", "lost"],
)
def test_what_passes_is_tried_again(failure):
    with (
        scripted(failure, failure, answer(DESCRIBED)) as (address, requests),
        lsr.Client(address) as client,
    ):
        assert client.open("pets").name == "pets"
        assert len(requests) == 3
    with scripted(failure, answer(DESCRIBED)) as (address, _):

        async def run():
            async with lsr.AsyncClient(address) as opened:
                return await opened.open("pets")

        assert asyncio.run(run()).name == "pets"


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (404, "not_found", NotFoundError),
        (400, "bad_request", UsageError),
        (422, "invalid_input", InputError),
        (422, "invalid_request", InputError),
        (401, "unauthorized", UsageError),
        (403, "forbidden", UsageError),
        (507, "storage_full", StorageFullError),
        (500, "internal", LsrError),
    ],
)
def test_what_does_not_pass_is_said_at_once(status, kind, expected):
    failure = refusal(status, kind, "so it is; do that")
    with (
        scripted(failure) as (address, requests),
        lsr.Client(address, KEY) as client,
        pytest.raises(LsrError, match="so it is; do that") as caught,
    ):
        client.open("pets")
    assert type(caught.value) is expected
    assert caught.value.__notes__ == ["The server calls this request r1."]
    assert len(requests) == 1
    assert requests[0][2]["Authorization"] == f"Bearer {KEY}"


def test_attempts_end_with_the_servers_sentence():
    with (
        scripted(BUSY) as (address, requests),
        lsr.Client(address, retries=2) as client,
        pytest.raises(UnavailableError, match="busy; try again in a second"),
    ):
        client.open("pets")
    assert len(requests) == 3
    locked = refusal(409, "locked", "another process is writing")
    with (
        scripted(locked) as (address, _),
        lsr.Client(address, retries=1) as client,
        pytest.raises(LockedError, match="another process is writing"),
    ):
        client.open("pets")
    with (
        scripted(LOSE) as (address, _),
        lsr.Client(address, retries=1) as client,
        pytest.raises(UnavailableError, match=r"can't be reached .*; see that it runs"),
    ):
        client.open("pets")


def test_a_server_that_asks_for_long_waits_is_not_waited_for():
    tomorrow = refusal(429, "too_many", "the day is used up", **{"Retry-After": "86400"})
    with (
        scripted(tomorrow) as (address, requests),
        lsr.Client(address) as client,
        pytest.raises(UnavailableError, match="the day is used up"),
    ):
        client.open("pets")
    assert len(requests) == 1


def test_retry_after_is_a_number_or_a_date(monkeypatch):
    monkeypatch.setattr(retries.time, "time", lambda: 1_000_000_000.0)
    assert retry_after(None) == 0
    assert retry_after(" 7 ") == 7
    assert retry_after(formatdate(1_000_000_030, usegmt=True)) == 30
    assert retry_after(formatdate(999_999_000, usegmt=True)) == 0
    assert retry_after("soon") == 0
    assert retry_after("-5") == 0


def test_nobody_there_is_one_sentence(free_port):
    address = f"http://127.0.0.1:{free_port}"
    with (
        lsr.Client(address, KEY, retries=1) as client,
        pytest.raises(UnavailableError) as caught,
    ):
        client.open("pets")
    assert f"the server at {address} can't be reached" in str(caught.value)
    assert KEY not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize(
    "step",
    [
        (200, {}, b"<html>hello</html>"),
        answer({"nothing": "known"}),
        answer(["list"]),
        answer(None),
    ],
    ids=["page", "other object", "list", "null"],
)
def test_a_server_of_another_kind_is_told(step):
    with (
        scripted(step) as (address, _),
        lsr.Client(address) as client,
        pytest.raises(LsrError, match="not one that this version of lsr knows"),
    ):
        client.indexes()
    with (
        scripted((404, {}, b"<h1>not here</h1>")) as (address, _),
        lsr.Client(address) as client,
        pytest.raises(NotFoundError, match="the address answered 404, and not as lsr does"),
    ):
        client.open("pets")


def test_a_slow_server_is_given_up():
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            release.wait(30)

        def log_message(self, *_):
            pass

    with local(Handler) as address, lsr.Client(address, timeout_ms=50) as client:
        with pytest.raises(UnavailableError, match="within 50 ms; give it more time with timeout"):
            client.open("pets")
        release.set()


def test_the_key_is_shown_nowhere_and_redirects_are_not_followed():
    elsewhere = (307, {"Location": "http://127.0.0.1:9/"}, b"")
    with (
        scripted(elsewhere) as (address, requests),
        lsr.Client(address, KEY) as client,
        pytest.raises(LsrError, match="the address answered 307") as caught,
    ):
        client.open("pets")
    assert KEY not in f"{client!r} {client.connection!r} {caught.value!r}"
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"url": "localhost:8000"}, "begins with http:// or https://"),
        ({"url": "http://user:pass@localhost"}, "neither a user name"),
        ({"url": "http://localhost:port"}, "begins with http:// or https://"),
        ({"url": "http://localhost?key=1"}, "nor a query"),
        ({"key": ""}, "the key holds what no key"),
        ({"key": "a\nb"}, "the key holds what no key"),
        ({"timeout_ms": 0}, "timeout_ms is 0; allowed is above 0"),
        ({"write_timeout_ms": -1}, "write_timeout_ms is -1; allowed is above 0"),
        ({"retries": -1}, "the retries are -1; allowed is 0 to 100"),
        ({"ca_file": "none.pem"}, "the certificates of none.pem can't be read"),
    ],
)
def test_wrong_settings_are_one_sentence(arguments, reason):
    for kind in (lsr.Client, lsr.AsyncClient):
        with pytest.raises(LsrError, match=reason) as caught:
            kind(**arguments)
        assert "pass" not in str(caught.value)


def test_types_of_errors_are_those_of_the_server():
    told = {kind: name for name, (_, kind) in STATUS.items() if name is not LsrError}
    of_the_client = {kind for kind in told if kind != "missing_dependency"}
    assert all(issubclass(told[kind], BY_TYPE[kind]) for kind in of_the_client)
    for status, kind in STATUS.values():
        assert isinstance(error_of(*refusal(status, kind, "sentence")), LsrError)


def items(*results):
    return answer({"took_ms": 1.0, "errors": True, "items": list(results)})


def test_items_that_could_not_be_written_are_sent_again_and_no_others():
    stored = {"id": "cat", "status": 201, "result": "created"}
    locked = {
        "id": "dog",
        "status": 409,
        "error": {"type": "locked", "message": "item 2: another process is writing"},
    }
    late = {"id": "dog", "status": 200, "result": "updated"}
    with (
        scripted(items(stored, locked), items(locked), items(late)) as (address, requests),
        lsr.Client(address) as client,
    ):
        index = RemoteCollection(client, "pets")
        report = index.upsert(PETS[:2])
    assert (report.created, report.updated, report.rejected) == (1, 1, 0)
    sent = [[json.loads(line)["id"] for line in body.splitlines()] for *_, body in requests]
    assert sent == [["cat", "dog"], ["dog"], ["dog"]]


def test_items_that_can_not_be_written_at_all_end_the_upsert():
    full = {
        "id": "cat",
        "status": 507,
        "error": {"type": "storage_full", "message": "item 1: the server's disk is full"},
    }
    with (
        scripted(items(full)) as (address, _),
        lsr.Client(address, retries=2) as client,
        pytest.raises(StorageFullError, match=r"^the server's disk is full"),
    ):
        RemoteCollection(client, "pets").upsert(PETS[:1])


@contextmanager
def lossy(target, largest_body=1 << 30):
    """A proxy of a server that loses every other answer, and lets no larger body through."""
    count = iter(range(1 << 30))

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if len(body) > largest_body:
                self.send_error(413)
                return
            peer = http.client.HTTPConnection(urlsplit(target).netloc, timeout=60)
            left_out = {"host", "accept-encoding"}
            headers = {k: v for k, v in self.headers.items() if k.lower() not in left_out}
            peer.request(self.command, self.path, body, headers)
            found = peer.getresponse()
            content = found.read()
            peer.close()
            if next(count) % 2 == 0:
                self.close_connection = True
                return
            self.send_response(found.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any

        def log_message(self, *_):
            pass

    with local(Handler) as address:
        yield address


def test_a_connection_that_loses_every_other_answer_loses_and_doubles_nothing(address, written):
    documents = [lsr.Document(f"d{n}", f"number {n} " * 40) for n in range(120)]
    documents[50] = {"id": "d50", "text": "large " * 5000}
    with lossy(address, largest_body=10_000) as between, lsr.Client(between) as client:
        report = client.open("written").upsert(documents)
        assert [each.id for each in report.rejections] == ["d50"]
        assert "the address answered 413" in report.rejections[0].reason
        assert report.created + report.unchanged == 119
        assert len(written) == 119
        gone = client.open("written").delete(["d1", "d2"])
        assert gone <= {"d1", "d2"}
        assert written.get("d1") is None
        found = client.open("written").search("number 7", limit=100)
    assert [hit.id for hit in found.hits] == [
        hit.id for hit in written.search("number 7", limit=100).hits
    ]


def test_httpx_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(lsr.LsrError, match=r"the client needs the package 'httpx'.*\[client\]"):
        lsr.Client()
