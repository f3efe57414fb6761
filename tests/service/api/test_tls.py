"""A real server that speaks TLS, or stands behind a proxy."""

import contextlib
import re
import socket
import ssl
import subprocess

import httpx
import pytest

from tests.forked import Process
from tests.service.conftest import environment, sentence
from tests.waiting import wait_until

pytestmark = pytest.mark.long
ADMIN = "an-admin-key-of-the-tests"
KEY = {"Authorization": f"Bearer {ADMIN}"}
SERVE = """
import resource, sys
import service.api.connections as connections
connections.HEAD_SECONDS, limit = float(sys.argv.pop(1)), int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
from service.cli import main
main()
"""


@pytest.fixture
def serve(tmp_path, lsr, corpus):
    lsr("index", corpus, "--into", "all/fruit", "--encoder", "bm25")
    with contextlib.ExitStack() as stack:

        def start(*options, head=60.0, limit=1024, **settings):
            named = {f"LSR_SERVE_{name.upper()}": value for name, value in settings.items()}
            process = Process(
                ["-c", SERVE, str(head), str(limit), "serve", "all", "--port", "0", *options],
                cwd=tmp_path, env=environment(tmp_path) | named, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            for line in process.stdout:
                if found := re.search(r"(https?://127\.0\.0\.1:\d+)/ ", line):
                    return found.group(1)
            raise AssertionError("it didn't start")

        yield start


@contextlib.contextmanager
def client_of(address, certificate=None):
    verify = True
    if certificate is not None:
        verify = ssl.create_default_context(cafile=certificate / "cert.pem")
    with httpx.Client(base_url=address, verify=verify, timeout=60) as opened:
        wait_until(lambda: opened.get("/readyz").status_code == 200)
        yield opened


def options_of(certificate):
    return "--tls-cert", certificate / "cert.pem", "--tls-key", certificate / "key.pem"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_a_server_with_a_certificate_is_asked_by_tls_alone(serve, certificate):
    address = serve(*options_of(certificate))
    assert address.startswith("https://")
    with client_of(address, certificate) as client:
        answer = client.post("/v1/indexes/fruit/search", json={"query": {"text": "cherry"}})
        assert [hit["id"] for hit in answer.json()["hits"]] == ["b"]
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        # The page's own origin is of this scheme.
        for origin, status in ((address, 200), (address.replace("https", "http"), 403)):
            assert client.get("/livez", headers={"Origin": origin}).status_code == status
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
            plain.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" not in plain.recv(1000)
        old = ssl.create_default_context(cafile=certificate / "cert.pem")
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with (
            socket.create_connection(("127.0.0.1", port), timeout=60) as connection,
            pytest.raises(ssl.SSLError),
        ):
            old.wrap_socket(connection, server_hostname="localhost")
        assert client.get("/readyz").status_code == 200


def test_handshakes_that_do_not_come_end_and_keep_nobody_out(serve, certificate):
    address = serve(*options_of(certificate), head=0.5)
    port = int(address.rpartition(":")[2])
    with client_of(address, certificate) as client, contextlib.ExitStack() as stack:
        held = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            for _ in range(20)
        ]
        for connection in held[::2]:
            connection.sendall(b"\x16\x03\x01")
        assert client.get("/readyz").status_code == 200
        for connection in held:
            with contextlib.suppress(ConnectionError):
                assert connection.recv(100) == b""


def test_many_handshakes_that_do_not_come_make_room(serve, certificate):
    address = serve(*options_of(certificate), limit=128)
    port = int(address.rpartition(":")[2])
    with client_of(address, certificate) as client, contextlib.ExitStack() as stack:
        held = []
        for _ in range(200):
            held.append(socket.create_connection(("127.0.0.1", port), timeout=60))
            stack.enter_context(held[-1])
        verify = ssl.create_default_context(cafile=certificate / "cert.pem")
        with httpx.Client(base_url=address, verify=verify, timeout=60) as other:
            assert other.get("/readyz").status_code == 200
        # A connection that has asked before is no handshake, and stays.
        assert client.get("/readyz").status_code == 200
        with contextlib.suppress(ConnectionError):
            assert held[0].recv(100) == b""


@pytest.mark.parametrize(
    ("cert", "key", "reason"),
    [
        ("cert.pem", "none.pem", "there is no file"),
        ("key.pem", "cert.pem", "are no certificate and its key"),
        ("cert.pem", "cert.pem", "are no certificate and its key"),
        ("cert.pem", "locked.pem", "the key has a password"),
        ("cert.pem", None, "tls_cert and tls_key go together"),
    ],
)
def test_files_that_are_no_certificate_are_one_sentence(
    lsr, tmp_path, certificate, cert, key, reason
):
    (tmp_path / "all").mkdir()
    options = ["--tls-cert", certificate / cert]
    options += [] if key is None else ["--tls-key", certificate / key]
    result = lsr("serve", "all", "--port", "0", *options)
    assert reason in sentence(result)
    assert result.returncode == 2


def asks(client, **headers):
    return client.get("/v1/indexes", headers=KEY | headers).status_code


def test_forwarded_headers_are_believed_of_named_proxies_alone(serve):
    pytest.importorskip("limits")
    rates = {"admin_key": ADMIN, "rate_by_address": "2/hour"}
    address = serve(**rates)
    page = {"Origin": address.replace("http", "https"), "X-Forwarded-Proto": "https"}
    with client_of(address) as client:
        assert asks(client, **page) == 403
        found = [asks(client, **{"X-Forwarded-For": f"10.0.0.{n}"}) for n in range(4)]
        assert found == [200, 200, 429, 429]
    address = serve(trusted_proxies='["127.0.0.0/8"]', **rates)
    page |= {"Origin": address.replace("http", "https"), "X-Forwarded-For": "10.2.2.2"}
    with client_of(address) as client:
        assert asks(client, **page) == 200
        assert asks(client, Origin=page["Origin"]) == 403
        found = [asks(client, **{"X-Forwarded-For": f"10.0.0.{n}"}) for n in range(4)]
        assert found == [200] * 4
        # The last address is the one that the proxy has seen; those before are anybody's.
        spoofed = [asks(client, **{"X-Forwarded-For": f"8.8.8.{n}, 10.1.1.1"}) for n in range(3)]
        assert spoofed == [200, 200, 429]


def test_a_server_behind_a_proxy_needs_a_key(lsr, tmp_path, monkeypatch):
    (tmp_path / "all").mkdir()
    monkeypatch.setenv("LSR_SERVE_TRUSTED_PROXIES", '["127.0.0.1"]')
    result = lsr("serve", "all", "--port", "0")
    assert "others reach this server by a proxy, and there is no key" in sentence(result)
    monkeypatch.setenv("LSR_SERVE_TRUSTED_PROXIES", '["proxy.example.org"]')
    assert "give addresses, or networks as 10.0.0.0/8" in sentence(lsr("serve", "all"))
