"""Pages of other sites: which may ask, and what their browsers are told."""

import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from lsr.errors import UsageError
from service.api.app import create_app
from service.api.origins import AllowedOrigins
from service.settings import ServerSettings
from tests.service.conftest import URL

SITE = "https://www.example.org"
ASKS = {"Origin": SITE, "Access-Control-Request-Method": "DELETE"}
ADMIN = "an-admin-key-of-the-tests"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = tmp_path_factory.mktemp("origins") / "fruit"
    Collection.create(made, encoder_fields("bm25")).close()
    return made


@pytest.fixture(scope="module")
def client(path):
    settings = ServerSettings(paths=[path], allow_origin=[SITE, "http://a.b:81"], admin_key=ADMIN)
    with TestClient(create_app(settings), base_url=URL) as opened:
        yield opened


def allowed(answer):
    assert answer.headers["vary"].split(", ").count("Origin") == 1
    return answer.headers.get("access-control-allow-origin")


def test_a_page_of_an_allowed_site_reads_answers_and_errors(client):
    key = {"Authorization": f"Bearer {ADMIN}"}
    for headers, status in ((key, 200), ({}, 401)):
        answer = client.get("/v1/indexes", headers={"Origin": SITE, **headers})
        assert (answer.status_code, allowed(answer)) == (status, SITE)
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers
    assert allowed(client.get("/nowhere", headers={"Origin": "HTTP://A.b:81", **key})) is not None
    assert client.get("/v1/indexes", headers={"Origin": URL, **key}).status_code == 200
    assert allowed(client.get("/livez")) is None


def test_a_browser_may_ask_first_and_needs_no_key_for_that(client):
    answer = client.options("/v1/indexes/fruit/documents/a", headers=ASKS)
    assert (answer.status_code, answer.content, allowed(answer)) == (204, b"", SITE)
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    # What is no such question is a request as any other.
    assert client.options("/v1/indexes", headers={"Origin": SITE}).status_code == 401


@pytest.mark.parametrize(
    "origin",
    ["null", "https://example.org", "http://www.example.org", f"{SITE}:444", f"{SITE}.evil.example",
     "https://evil.example", f"{SITE}/", "*", ""],
)  # fmt: skip
def test_a_page_of_another_site_is_refused(client, origin):
    for headers in ({"Origin": origin}, ASKS | {"Origin": origin}):
        answer = client.options("/v1/indexes", headers=headers)
        assert (answer.status_code, allowed(answer)) == (403, None)
    several = [("Origin", SITE), ("Origin", origin)]
    assert client.get("/livez", headers=several).status_code == 403


def test_no_page_may_ask_unless_it_is_named(path):
    with TestClient(create_app(ServerSettings(paths=[path])), base_url=URL) as client:
        for answer in (client.options("/v1/indexes", headers=ASKS), client.get("/livez")):
            assert not [name for name in answer.headers if name.startswith("access-control")]
            assert "origin" not in answer.headers.get("vary", "").lower()


@pytest.mark.parametrize("origin", ["*", "null", "www.example.org", f"{SITE}/", f"{SITE}/x", ""])
def test_what_is_no_origin_is_one_sentence(origin):
    with pytest.raises(UsageError, match=r"is none; give scheme, name and port"):
        AllowedOrigins([origin])


def test_the_port_that_a_scheme_has_anyhow_makes_no_other_origin():
    assert AllowedOrigins(["https://a.example:443"]).allows("https://A.example")
    assert not AllowedOrigins(["https://a.example"]).allows("https://a.example:80")
