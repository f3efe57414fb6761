"""A real server among clients that hold connections and do nothing with them."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.forked import Process
from tests.service.conftest import environment
from tests.waiting import wait_until

SERVE = """
import logging, resource, sys
from pathlib import Path
import service.api.connections as connections
import service.api.lingering as lingering
limit, connections.HEAD_SECONDS, connections.BODY_SECONDS, connections.ANSWER_SECONDS, (
    lingering.LINGER_SECONDS
) = map(float, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), int(limit)))
logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
from service.commands.serve import serve
from lsr.trusted_code import NO_CODE
from service.settings import ServerSettings
serve(ServerSettings(paths=[Path("fruit")], port=0), NO_CODE)
"""
pytestmark = pytest.mark.long
HEAD = b"POST /v1/indexes/fruit/documents HTTP/1.1\r\nHost: 127.0.0.1\r\n"
LONG, SHORT = 60.0, 0.3


class Serving:
    def __init__(self, folder, limit=1024, head=LONG, body=LONG, answer=LONG, linger=LONG):
        self.log = folder / "log.txt"
        settings = map(str, (limit, head, body, answer, linger))
        with self.log.open("wb") as log:
            self.process = Process(
                ["-c", SERVE, *settings],
                cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        for line in self.process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found.group(1))
                break
        # None is kept open: the server may close an idle one in the moment that it is used again.
        none = httpx.Limits(max_keepalive_connections=0)
        address = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=address, timeout=60, limits=none)
        wait_until(lambda: self.client.get("/readyz").status_code == 200)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def search(self):
        answer = self.client.post("/v1/indexes/fruit/search", json={"query": {"text": "cherry"}})
        return [hit["id"] for hit in answer.json()["hits"]]

    def holds(self, connection):
        """Whether a process has the other end of a connection open."""
        ends = tuple(f":{port:04X}" for port in (self.port, connection.getsockname()[1]))
        rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return any(row[9] != "0" for row in rows if (row[1][-5:], row[2][-5:]) == ends)

    def descriptors(self):
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@pytest.fixture
def serving(tmp_path, lsr, corpus):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    with contextlib.ExitStack() as stack:

        def start(**settings):
            started = Serving(tmp_path, **settings)
            stack.callback(started.process.wait)
            stack.callback(started.process.kill)
            stack.callback(started.client.close)
            return started

        yield start


def is_closed(connection):
    """Waits until the other side closes it."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def was_closed(connection):
    """Whether the other side has closed it by now."""
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    finally:
        connection.setblocking(True)
    return True


def test_a_head_that_does_not_come_ends_the_connection(serving):
    server = serving(head=SHORT)
    held = [server.connect() for _ in range(8)]
    for connection, sent in zip(held, 2 * [b"", b"GET /livez HT", HEAD, b"\r\n" * 3], strict=True):
        connection.sendall(sent)
    assert all(map(is_closed, held))
    assert server.search() == ["b"]


def test_a_head_that_comes_byte_by_byte_ends_the_connection(serving):
    server = serving(head=1.0)
    connection = server.connect()
    connection.settimeout(0.05)
    for byte in HEAD * 100:
        try:
            connection.sendall(bytes([byte]))
            assert connection.recv(1) == b""
        except TimeoutError:
            continue
        except ConnectionError:
            pass
        return
    raise AssertionError("the connection stayed open")


def test_a_head_that_is_too_large_is_refused_before_it_has_come(serving):
    server = serving()
    lines = {
        "one header": b"X: " + b"x" * (1 << 20),
        "many headers": b"X: x\r\n" * (1 << 18),
        "an address": b"GET /" + b"x" * (1 << 20),
        "a key": b"Authorization: Bearer " + b"x" * (1 << 20),
    }
    for what, line in lines.items():
        connection = server.connect()
        begin = b"" if what == "an address" else b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        with contextlib.suppress(ConnectionError):
            connection.sendall(begin + line)
            assert connection.recv(65536).startswith(b"HTTP/1.1 4"), what
        assert is_closed(connection)
    assert server.search() == ["b"]


def test_a_body_that_does_not_come_ends_the_connection_and_a_slow_one_is_read(serving):
    server = serving(body=SHORT)
    for framing in (b"Content-Length: 1000", b"Transfer-Encoding: chunked"):
        connection = server.connect()
        connection.sendall(HEAD + framing + b"\r\n\r\n")
        connection.sendall(b"1\r\n{\r\n")
        assert is_closed(connection)
    assert server.search() == ["b"]
    body = json.dumps([{"id": "n", "text": "fig " * 2000}]).encode()
    connection = server.connect()
    connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body))
    for start in range(0, len(body), 2500):
        connection.sendall(body[start : start + 2500])
        time.sleep(0.4)
    assert b'"status":201' in connection.recv(65536)


def test_a_client_in_the_middle_of_a_body_that_is_refused_gets_the_answer(serving):
    server = serving()
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    framings = {
        b"Content-Length: %d" % (65 << 20): b" " * (1 << 20),
        b"Transfer-Encoding: chunked": chunk,
    }
    for framing, part in 3 * list(framings.items()):
        connection = server.connect()
        connection.sendall(HEAD + framing + b"\r\n\r\n")
        for _ in range(66):
            connection.sendall(part)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 "), framing
        assert is_closed(connection)
    assert server.search() == ["b"]


def test_a_refused_client_that_sends_for_ever_is_not_heard_for_ever(serving):
    server = serving(linger=1.0)
    connection = server.connect()
    connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (65 << 20))

    def is_cut_off():
        try:
            connection.sendall(b" " * 1000)
        except ConnectionError:
            return True
        return False

    wait_until(is_cut_off)
    assert server.search() == ["b"]


def test_an_answer_that_is_not_taken_ends_the_connection(serving):
    server = serving(answer=SHORT)
    written = [{"id": f"d{n}", "text": "kiwi", "note": "x" * 100_000} for n in range(60)]
    assert server.client.post("/v1/indexes/fruit/documents", json=written).status_code == 200
    body = json.dumps({"query": {"text": "kiwi"}, "limit": 60}).encode()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    request = HEAD.replace(b"documents", b"search") + b"Content-Length: %d\r\n\r\n%s"
    wait_until(lambda: server.holds(connection))
    connection.sendall(request % (len(body), body))
    wait_until(lambda: not server.holds(connection))
    assert server.search() == ["b"]


def test_idle_connections_make_room_for_those_that_ask(serving):
    server = serving(limit=256)
    assert server.search() == ["b"]
    idle = []
    for number in range(300):
        idle.append(server.connect())
        if number % 20 == 0:
            # On the connection it has, and on a new one.
            assert server.search() == ["b"]
            address = f"http://127.0.0.1:{server.port}/livez"
            assert httpx.get(address, timeout=60).json() == {"status": "ok"}
    assert server.descriptors() < 256
    assert server.log.stat().st_size == 0
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=60) == -signal.SIGTERM


def test_connections_that_are_all_at_work_turn_others_away(serving):
    server = serving(limit=128)
    busy = []
    for _ in range(64):
        busy.append(server.connect())
        busy[-1].sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
    answers = []

    def turned_away():
        with server.connect() as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                answers.append(connection.recv(65536))
        return answers and answers[-1].startswith(b"HTTP/1.1 503")

    wait_until(turned_away)
    assert b"Retry-After: 1" in answers[-1]
    error = json.loads(answers[-1].split(b"\r\n\r\n")[1])["error"]
    assert (error["code"], error["type"]) == (503, "too_many_connections")
    for connection in busy:
        connection.close()
    fresh = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60)

    def answers_again():
        with contextlib.suppress(httpx.TransportError):
            return fresh.get("/livez").status_code == 200

    wait_until(answers_again)
    assert server.log.read_text().count("\n") < 100


def test_without_descriptors_clients_are_turned_away_and_the_log_stays_short(serving):
    """The limit falls below what the server holds, as when something else takes them all."""
    import resource

    server = serving(limit=256)
    held = server.descriptors()
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (held, 256))
    # What the server lets go of meanwhile is room for some.
    idle = [server.connect() for _ in range(50)]
    wait_until(lambda: sum(map(was_closed, idle)) >= 40)
    for connection in idle:
        with contextlib.suppress(OSError):
            connection.sendall(HEAD + b"Content-Length: 10\r\n\r\n")
    turned_away = [server.connect() for _ in range(50)]
    wait_until(lambda: sum(map(was_closed, turned_away)) >= 40)
    assert server.log.stat().st_size < 10_000
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (256, 256))
    server.client.close()
    server.client = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60)
    assert server.search() == ["b"]


def test_malformed_requests_do_not_fill_the_log(serving):
    server = serving()
    for _ in range(200):
        with server.connect() as connection:
            connection.sendall(b"\x00nonsense\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=60) == -signal.SIGTERM
    lines = server.log.read_text().splitlines()
    assert len(lines) == 6
    assert lines[-1].endswith("(repeated 195 more times, not logged)")


def test_a_bulk_in_flight_says_what_it_wrote_when_the_server_is_told_to_stop(serving):
    server = serving()
    sent = [{"id": f"n{number}", "text": "fig " * 200} for number in range(6000)]
    body = json.dumps(sent).encode()
    connection = server.connect()
    connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body))
    connection.sendall(body)
    counted = lambda: server.client.get("/v1/indexes/fruit").json()["documents"]  # noqa: E731
    wait_until(lambda: counted() > 3)
    server.process.send_signal(signal.SIGTERM)
    received = b""
    while part := connection.recv(1 << 20):
        received += part
    answer = json.loads(received.split(b"\r\n\r\n", 1)[1])
    assert server.process.wait(timeout=60) == -signal.SIGTERM
    statuses = [item["status"] for item in answer["items"]]
    written = statuses.count(201)
    assert statuses == [201] * written + [503] * (6000 - written)
    assert written >= 64
    from index.collection.collection import Collection

    assert len(Collection.open(server.log.parent / "fruit")) == 3 + written


REFUSED = [
    (b"nonsense\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nA: " + b"a" * (1 << 17) + b"\r\n\r\n", 431),
    (b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"a:b\r\n" * (1 << 15) + b"\r\n", 431),
    (b"GET /livez?" + b"a" * (1 << 17) + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 431),
    # A head without an end.
    (b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nA: " + b"a" * (1 << 17), 431),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
]


def answer_to(server, sent):
    with server.connect() as connection:
        connection.sendall(sent)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(1 << 16):
                answer += part
    return answer


def test_what_is_no_request_is_refused_in_our_shape(serving):
    server = serving()
    for sent, status in REFUSED:
        head, _, body = answer_to(server, sent).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status), sent[:100]
        assert json.loads(body)["error"]["code"] == status
    assert server.search() == ["b"]


def test_nonsense_behind_a_request_is_not_taken_for_its_answer(serving):
    body = b'{"query": {"text": "cherry"}}'
    search = b"POST /v1/indexes/fruit/search HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    search += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert not answer_to(serving(), search + b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
