"""The examples of proxies, run in front of a real server where the proxies are installed."""

import contextlib
import importlib.util
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests import forked
from tests.service.conftest import environment
from tests.waiting import wait_until

pytestmark = pytest.mark.long
DEPLOY = Path(__file__).parents[2] / "deploy"
ADMIN = "an-admin-key-of-the-tests"
RATE = {"LSR_SERVE_RATE_BY_ADDRESS": "200/hour"}
COUNTS = importlib.util.find_spec("limits") is not None


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@contextlib.contextmanager
def server(folder):
    """The port of a server as the examples have it."""
    (folder / "corpus.jsonl").write_text('{"id": "b", "text": "cherry banana"}\n')
    run = ["-m", "service.cli"]
    index = [*run, "index", "corpus.jsonl", "--into", "all/fruit", "--encoder", "bm25"]
    assert forked.run(index, cwd=folder, env=environment(folder)).returncode == 0
    more = {"LSR_SERVE_TRUSTED_PROXIES": '["127.0.0.1"]', "LSR_SERVE_ADMIN_KEY": ADMIN}
    process = forked.Process(
        [*run, "serve", "all", "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True,
        env=environment(folder) | more | (RATE if COUNTS else {}),
    )  # fmt: skip
    port = next(
        found.group(1)
        for line in process.stdout
        if (found := re.search(r"127\.0\.0\.1:(\d+)", line))
    )
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def nginx(folder, certificate, server, http, https):
    changes = {
        "http {": "http { access_log off; client_body_temp_path b; proxy_temp_path p; "
        "fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;",
        "search.example.org;": "localhost;",
        "/etc/ssl/search.example.org/fullchain.pem": str(certificate / "cert.pem"),
        "/etc/ssl/search.example.org/privkey.pem": str(certificate / "key.pem"),
        "listen 80;": f"listen 127.0.0.1:{http};",
        "listen 443 ssl;": f"listen 127.0.0.1:{https} ssl;",
        "127.0.0.1:8000;": f"127.0.0.1:{server};",
    }
    file = changed(DEPLOY / "nginx.conf", folder / "nginx.conf", changes)
    begin = ["nginx", "-p", folder, "-c", file, "-e", "stderr", "-g", "pid nginx.pid; daemon off;"]
    return [*begin, "-t"], begin


def caddy(folder, certificate, server, http, https):
    site = f"localhost:{https} {{\n\ttls {certificate / 'cert.pem'} {certificate / 'key.pem'}"
    changes = {
        "search.example.org {": "{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + site,
        "127.0.0.1:8000 {": f"127.0.0.1:{server} {{",
    }
    file = changed(DEPLOY / "Caddyfile", folder / "Caddyfile", changes)
    options = ["--config", file, "--adapter", "caddyfile"]
    return ["caddy", "validate", *options], ["caddy", "run", *options]


def changed(example, file, changes):
    text = example.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    return file


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def client(request, tmp_path_factory, certificate):
    if shutil.which(request.param.__name__) is None:
        pytest.skip(f"{request.param.__name__} is not installed")
    folder = tmp_path_factory.mktemp("proxy")
    options = {"cwd": folder, "env": environment(folder) | {"HOME": str(folder)}}
    verify = ssl.create_default_context(cafile=certificate / "cert.pem")
    headers = {"Authorization": f"Bearer {ADMIN}"}
    http, https = free_ports(2)
    with server(folder) as port:
        check, begin = request.param(folder, certificate, port, http, https)
        checked = subprocess.run(check, capture_output=True, text=True, check=False, **options)
        assert checked.returncode == 0, checked.stderr
        process = subprocess.Popen(begin, stderr=subprocess.DEVNULL, **options)
        address = f"https://localhost:{https}"
        with httpx.Client(base_url=address, verify=verify, headers=headers, timeout=60) as opened:
            wait_until(lambda: answers(opened))
            yield opened
        process.terminate()
        process.wait()


def answers(client):
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_what_is_asked_through_a_proxy_is_answered(client):
    answer = client.post("/v1/indexes/fruit/search", json={"query": {"text": "cherry"}})
    assert [hit["id"] for hit in answer.json()["hits"]] == ["b"]
    assert client.get("/v1/indexes", headers={"Authorization": ""}).status_code == 401
    assert client.get("/metrics").status_code == 403
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    origin = str(client.base_url)
    for given, status in ((origin, 200), (origin.replace("https", "http"), 403)):
        assert client.get("/livez", headers={"Origin": given}).status_code == status


def test_any_id_has_an_address(client):
    documents = "/v1/indexes/fruit/documents"
    ids = ["a/b", "a%2Fb", "new\nline", "ü?#", "x/../y"]
    written = client.post(documents, json=[{"id": each, "text": "fig"} for each in ids]).json()
    assert written["errors"] is False
    for each in ids:
        assert client.get(f"{documents}/{quote(each, safe='')}").json()["id"] == each


def test_a_body_that_is_too_large_is_refused(client):
    answer = client.post("/v1/indexes/fruit/documents", content=b" " * (65 << 20))
    assert answer.status_code == 413
    assert answers(client)


@pytest.mark.skipif(not COUNTS, reason="limits is not installed")
def test_nobody_chooses_the_address_that_is_counted(client):
    def asked(number):
        return client.get("/v1/indexes", headers={"X-Forwarded-For": f"10.0.0.{number}"})

    assert 429 in [asked(number).status_code for number in range(210)]
    assert answers(client)
