"""Whom a server answers to: the Host and the Origin of a request."""

import socket

import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from lsr.errors import UsageError
from service.api.app import create_app
from service.api.hosts import AllowedHosts, is_own_origin
from service.settings import ServerSettings

LOOPBACK = AllowedHosts.of_server("127.0.0.1")
MALFORMED = ["", " ", "[", "[::1", "::1", "a b", "localhost:", "localhost:x", "localhost:99999",
             "localhost:80:80", "localhost/", "user@localhost", "localhost,evil.example", "[::1]x",
             "http://localhost", "\u0130", ".localhost", "[127.0.0.1]x", "a" * 300]  # fmt: skip


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    made = Collection.create(tmp_path_factory.mktemp("hosts") / "fruit", encoder_fields("bm25"))
    with TestClient(
        create_app(ServerSettings(paths=[made.path])), raise_server_exceptions=False
    ) as opened:
        yield opened


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST.", "127.0.0.1:1", "127.9.9.9", "[::1]:80", "[::1]"],
)
def test_loopback_is_answered_on_any_port(host):
    assert LOOPBACK.allows(host)


@pytest.mark.parametrize("host", [*MALFORMED, "evil.example", "localhost.evil.example", "10.0.0.1"])
def test_other_names_and_what_is_no_name_are_refused(client, host):
    assert not LOOPBACK.allows(host)
    for method, path in [("DELETE", "/v1/indexes/fruit/documents/a"), ("GET", "/livez"),
                         ("GET", "/"), ("GET", "/nowhere")]:  # fmt: skip
        answer = client.request(method, path, headers={"Host": host.encode("latin-1", "replace")})
        assert answer.status_code == 421
        error = answer.json()["error"]
        assert (error["code"], error["type"]) == (421, "wrong_host")
        assert error["request_id"] == answer.headers["x-request-id"]


def test_a_request_of_several_hosts_is_refused(client):
    headers = [("Host", "localhost"), ("Host", "evil.example")]
    assert client.get("/livez", headers=headers).status_code == 421


def test_a_name_is_allowed_where_it_is_listened_on_or_given():
    hosts = AllowedHosts.of_server("search.lan", ["Search.Example.org.", "[2001:db8::1]:80"])
    allowed = ["search.lan:8000", "search.example.org", "[2001:DB8:0::1]", "localhost"]
    assert all(map(hosts.allows, allowed))
    assert not hosts.allows("example.org")
    with pytest.raises(UsageError, match=r"'http://x' is no name of a host"):
        AllowedHosts.of_server("127.0.0.1", ["http://x"])


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", "192.168.1.5"])
def test_a_server_that_others_reach_answers_to_addresses_and_to_its_machine(bound):
    hosts = AllowedHosts.of_server(bound)
    assert all(map(hosts.allows, ["192.168.1.5:8000", "[fe80::1]", socket.gethostname()]))
    assert not hosts.allows("evil.example")
    assert not any(map(hosts.allows, MALFORMED))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "localhost:8000"),
        ("http://localhost", "localhost:80"),
        ("http://LOCALHOST:80", "localhost"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_a_page_of_the_server_may_ask_it(origin, host):
    assert is_own_origin(origin, "http", host)


STRANGE = ["null", "", "http://[", "http://[::1", "http://", "localhost", "http://localhost:8001",
           "https://localhost:8000", "http://localhost", "http://localhost:8000/", "file://",
           "http://localhost:8000@evil.example", "http://evil.example:8000", "http://\u00e9",
           "http://localhost:8000 http://localhost:8000", "http://127.0.0.1:8000"]  # fmt: skip


@pytest.mark.parametrize("origin", STRANGE)
def test_other_and_malformed_origins_are_refused(client, origin):
    assert not is_own_origin(origin, "http", "localhost:8000")
    headers = {"Host": "localhost:8000", "Origin": origin.encode("latin-1")}
    answer = client.delete("/v1/indexes/fruit/documents/a", headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "forbidden")


def test_the_scheme_of_an_origin_counts():
    assert is_own_origin("https://search.example.org", "https", "search.example.org")
    assert not is_own_origin("http://search.example.org", "https", "search.example.org")


def test_a_malformed_name_is_one_sentence(lsr):
    result = lsr("serve", ".", "--port", "0", "--allow-host", "a b")
    assert "the allowed host 'a b' is no name of a host" in result.stderr.decode()
    assert result.returncode == 2
