import http.server
import json
import threading
from contextlib import contextmanager

import pytest
from service_bench.load import load
from service_bench.rows import row


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(json.loads(body))
        answer = b"x" * 300_000
        self.send_response(200 if len(self.server.bodies) % 3 else 503)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@contextmanager
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.bodies, running.daemon_threads = [], True
        running.handle_error = lambda *_: None
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.mark.parametrize("connections", [1, 3])
def test_each_answer_is_read_whole_and_counted_once(connections):
    with server() as running:
        found = load(running.server_port, "/", ['{"a": 1}', '{"b": 2}'], connections, 0.5)
        # Those in flight at the end are not waited for.
        answered = len(found["ms"]) + found["errors"]
        assert 0 <= len(running.bodies) - answered <= connections
    assert running.bodies[:2] == [{"a": 1}, {"b": 2}] or connections > 1
    assert found["errors"] >= answered // 3 - connections
    assert found["seconds"] >= 0.5


def test_a_row_has_the_median_round_and_all_errors():
    rounds = [
        {"ms": [1.0] * 100, "errors": 1, "seconds": 1.0, "cpu_seconds": 0.1},
        {"ms": [2.0] * 50, "errors": 0, "seconds": 1.0, "cpu_seconds": 0.1},
        {"ms": [9.0] * 10, "errors": 2, "seconds": 1.0, "cpu_seconds": 0.1},
    ]
    assert row("lsr", "default", 8, 2, rounds) == {
        "server": "lsr",
        "body": "default",
        "connections": 8,
        "workers": 2,
        "p50_ms": 2.0,
        "p95_ms": 2.0,
        "p99_ms": 2.0,
        "requests_per_s": 50,
        "server_cpu_ms": 2.0,
        "errors": 3,
    }
