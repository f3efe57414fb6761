"""Who may ask for what: every route by its document, whatever routes there are."""

import asyncio
import re
import shutil
import time

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException
from starlette.routing import Mount

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from lsr.errors import UsageError
from service.api.access import GuardedApp, add_routes, is_open, needs, require_key
from service.api.app import create_app
from service.settings import ServerSettings
from service.state.keys import SCOPES
from tests.index.conftest import items
from tests.service.conftest import URL

METHODS = {"get", "put", "post", "patch", "delete", "head", "options", "trace"}
ADMIN = "an-admin-key-of-the-tests"
# What is open, which a new route is only if somebody writes it here.
OPEN = {("get", "/livez"), ("get", "/readyz")}
PAGES = {"/", "/docs", "/openapi.json", "/static"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("access") / "served"
    for name in ("docs-1", "docs-2", "secret"):
        index = Collection.create(made / name, encoder_fields("bm25"))
        index_documents(index, items({"a": "apple banana", "b": "owls hunt at night"}))
        index.close()
    return made


@pytest.fixture(scope="module")
def app(folder):
    return create_app(ServerSettings(paths=[folder]))


@pytest.fixture(scope="module")
def client(app):
    """A server of which an unused key was made, so that all need one."""
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as opened:
        app.state.keys.create("unused", ["metrics"])
        yield opened


@pytest.fixture(scope="module")
def key(app):
    """Makes a key and the headers that send it."""

    def make(*scopes, indexes=("*",), expires=None):
        _, token = app.state.keys.create("some key", scopes, indexes, expires)
        return {"Authorization": f"Bearer {token}"}

    return make


def operations(app):
    """(method, path, scopes) of all that the document lists; None where it names no security."""
    for path, methods in app.openapi()["paths"].items():
        for method in METHODS & set(methods):
            named = methods[method].get("security")
            yield method, path, named and {scope for each in named for scope in each["key"]}


def call(client, method, path, headers, index="docs-1"):
    url = re.sub(r"\{[^}]*\}", "a", path.replace("{index}", index))
    body = None if method in ("get", "head", "delete") else {}
    return client.request(method, url, json=body, headers=headers)


def refused(answer, status):
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["request_id"]) == (status, answer.headers["x-request-id"])
    assert error["type"] == {401: "unauthorized", 403: "forbidden"}[status]
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="lsr"')
    return error["message"], challenge


def test_every_operation_names_its_scope_and_its_refusals(app):
    found = list(operations(app))
    assert {(method, path) for method, path, scopes in found if not scopes} == OPEN
    for method, path, scopes in found:
        assert (scopes or set()) <= set(SCOPES)
        responses = app.openapi()["paths"][path][method]["responses"]
        assert ({"401", "403", "429"} <= set(responses)) is ((method, path) not in OPEN)
    assert app.openapi()["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_what_the_document_lacks_is_a_page_or_needs_a_key_too(app):
    for route in app.routes:
        if isinstance(route, Mount):
            assert route.path in PAGES or isinstance(route.app, GuardedApp)
        elif not isinstance(route, APIRoute) and hasattr(route, "path"):
            guarded = isinstance(getattr(route, "endpoint", None), GuardedApp)
            assert route.path in PAGES or is_open(route.path) or guarded


def test_every_operation_refuses_who_has_no_key_or_a_wrong_or_expired_one(
    client, app, key, monkeypatch
):
    soon = key("admin", expires=time.time() + 3600)
    assert client.get("/v1/indexes", headers=soon).status_code == 200
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3601)
    token = soon["Authorization"].split()[1]
    wrong = [{"Authorization": f"Bearer {token[:-1]}"}, {"Authorization": "Bearer"},
             {"X-API-Key": "x"}, {"Authorization": "Bearer \xff"}]  # fmt: skip
    for method, path, scopes in operations(app):
        if scopes is None:
            continue
        for headers in ({}, {"Authorization": "Basic YTpi"}, {"X-API-Key": ""}):
            message, challenge = refused(call(client, method, path, headers), 401)
            assert message == "a key is needed; send it as: Authorization: Bearer KEY"
            assert challenge == 'Bearer realm="lsr"'
        for headers in wrong:
            sent = {name: value.encode("latin-1") for name, value in headers.items()}
            message, challenge = refused(call(client, method, path, sent), 401)
            assert 'error="invalid_token"' in challenge or headers == {"Authorization": "Bearer"}
        message, _ = refused(call(client, method, path, soon), 401)
        assert "expired" in message


def test_every_operation_refuses_a_key_that_is_too_narrow(client, app, key):
    keys = {scope: key(scope) for scope in SCOPES}
    elsewhere = key("admin", indexes=["other-*"])
    for method, path, scopes in operations(app):
        if scopes is None:
            continue
        (scope,) = scopes
        enough = {"search": {"search", "write", "admin"}, "write": {"write", "admin"}}
        for given, headers in keys.items():
            if given not in enough.get(scope, {scope, "admin"}):
                message, challenge = refused(call(client, method, path, headers), 403)
                assert f'scope="{scope}"' in challenge
                assert f"has no scope {scope!r}" in message
        if "{index}" in path:
            message, _ = refused(call(client, method, path, elsewhere), 403)
            assert message == "the key 'some key' does not reach the index 'docs-1'"


def test_a_key_that_is_enough_is_let_in(folder, tmp_path):
    """On a copy: what is let in may delete."""
    app = create_app(ServerSettings(paths=[shutil.copytree(folder, tmp_path / "served")]))
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as client:
        for method, path, scopes in operations(app):
            if scopes is None:
                continue
            _, token = app.state.keys.create("enough", list(scopes))
            headers = {"Authorization": f"Bearer {token}"}
            answer = call(client, method, path, headers, index="docs-2")
            assert answer.status_code not in (401, 403), (method, path, answer.text)


def test_what_needs_no_index_needs_a_key_of_all_or_looks_itself(client, key):
    narrow = key("admin", indexes=["docs-*"])
    refused(client.get("/v1/keys", headers=narrow), 403)
    refused(client.post("/v1/keys", headers=narrow, json={"name": "wider"}), 403)
    listed = client.get("/v1/indexes", headers=narrow).json()["indexes"]
    assert [each["name"] for each in listed] == ["docs-1", "docs-2"]
    answer = client.get("/v1/indexes/docs-9", headers=narrow).json()["error"]
    assert answer["message"] == "there is no index 'docs-9'; there are: docs-1, docs-2"
    refused(client.get("/v1/indexes/secret/documents/a", headers=narrow), 403)
    refused(client.get("/v1/indexes/secret2", headers=narrow), 403)
    every = key("search")
    assert "secret" in client.get("/v1/indexes/docs-9", headers=every).json()["error"]["message"]


def test_a_key_may_be_sent_in_three_ways_and_once(client, key):
    bearer = key("search")
    token = bearer["Authorization"].split()[1]
    ways = [bearer, {"authorization": f"bearer {token}"}, {"Authorization": f"ApiKey {token}"},
            {"X-API-Key": token}, {"X-API-Key": token, "Authorization": "Basic YTpi"},
            {"X-API-Key": token, **bearer}]  # fmt: skip
    for headers in ways:
        assert client.get("/v1/indexes", headers=headers).status_code == 200
    message, _ = refused(client.get("/v1/indexes", headers={**bearer, "X-API-Key": "other"}), 401)
    assert "several keys" in message
    assert token not in message
    headers = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer x")]
    refused(client.get("/v1/indexes", headers=headers), 401)


def test_what_is_open_is_answered_whatever_is_sent(client):
    for path in ("/", "/livez", "/readyz", "/docs", "/openapi.json", "/static/app.js"):
        for headers in ({}, {"Authorization": "Bearer nobody"}):
            assert client.get(path, headers=headers).status_code == 200
    for path in (
        "/static/../v1/indexes",
        "/static/..%2fv1/indexes",
        "/nowhere",
        "/v1/indexes/",
    ):
        assert client.get(path).status_code in (401, 404)
        assert "docs-1" not in client.get(path).text


def test_health_names_the_indexes_that_a_key_reaches(folder, tmp_path):
    (tmp_path / "served").mkdir()
    for name in ("docs-1", "secret"):
        made = tmp_path / "served" / name
        Collection.create(made, encoder_fields("bm25")).close()
        (made / "collection.sqlite").write_bytes(b"no database")
    app = create_app(ServerSettings(paths=[tmp_path / "served", folder]))
    with TestClient(app, base_url=URL) as client:
        _, token = app.state.keys.create("narrow", indexes=["docs-*"])
        assert client.get("/readyz").json() == {"status": "degraded", "problems": []}
        headers = {"Authorization": f"Bearer {token}"}
        (problem,) = client.get("/readyz", headers=headers).json()["problems"]
        assert problem.startswith("docs-1: ")


def test_a_server_on_loopback_needs_keys_once_there_is_one(folder, tmp_path):
    app = create_app(ServerSettings(paths=[folder], state=tmp_path / "state.sqlite"))
    with TestClient(app, base_url=URL) as client:
        assert client.get("/v1/indexes").status_code == 200
        made = client.post("/v1/keys", json={"name": "first", "scopes": ["admin"]}).json()
        headers = {"Authorization": f"Bearer {made['token']}"}
        refused(client.get("/v1/indexes"), 401)
        refused(client.post("/v1/keys", json={"name": "second"}), 401)
        assert client.get("/v1/keys", headers=headers).json()["keys"] == [made["key"]]
        answer = client.delete(f"/v1/keys/{made['key']['id']}", headers=headers)
        assert answer.json() == {"revoked": made["key"]}
        assert client.get("/v1/indexes").status_code == 200


def test_a_server_that_others_reach_is_never_open_by_itself(folder, tmp_path):
    settings = ServerSettings(paths=[folder], state=tmp_path / "state.sqlite", host="0.0.0.0")
    app = create_app(settings)
    with TestClient(app, base_url=URL) as client:
        with pytest.raises(UsageError, match=r"lsr key create .*state.sqlite --name NAME"):
            require_key(settings, app.state.keys, folder)
        refused(client.get("/v1/indexes"), 401)
        key, token = app.state.keys.create("k")
        require_key(settings, app.state.keys, folder)
        assert client.get("/v1/indexes", headers={"X-API-Key": token}).status_code == 200
        app.state.keys.revoke(key.id)
        refused(client.get("/v1/indexes", headers={"X-API-Key": token}), 401)
        refused(client.get("/v1/indexes"), 401)


def test_a_server_may_be_open_to_all_or_have_an_admin_key_without_a_file(folder):
    for more, status in (({"open_to_all": True}, 200), ({"admin_key": ADMIN}, 401)):
        settings = ServerSettings(paths=[folder / "docs-1"], host="0.0.0.0", **more)
        app = create_app(settings)
        with TestClient(app, base_url=URL) as client:
            require_key(settings, app.state.keys, None)
            assert client.get("/v1/indexes").status_code == status
            headers = {"Authorization": f"Bearer {ADMIN}"}
            assert client.get("/v1/indexes", headers=headers).status_code == 200


def test_a_route_that_names_no_scope_is_not_taken():
    app, router = FastAPI(), APIRouter(prefix="/v1/new")

    @router.get("/{index}", dependencies=[needs("search")])
    async def named(index: str) -> str:
        return index

    add_routes(app, router)

    @router.post("")
    async def forgotten() -> None:
        return None

    with pytest.raises(TypeError, match="names no scope"):
        add_routes(FastAPI(), router)


def test_an_app_below_a_path_needs_its_scope(client, key):
    asked = []

    async def below(scope, receive, send):
        asked.append(scope["type"])

    guarded = GuardedApp(below, "mcp")
    for scope, enough in (("mcp", True), ("admin", True), ("write", False)):
        found = client.app.state.keys.find(key(scope)["Authorization"].split()[1])
        connection = {"type": "http", "path": "/mcp", "headers": [], "state": {"key": found}}
        if enough:
            asyncio.run(guarded(connection, None, None))
        else:
            with pytest.raises(HTTPException, match="no scope 'mcp'"):
                asyncio.run(guarded(connection, None, None))
    assert asked == ["http", "http"]


def test_no_token_is_logged_or_told(client, key, caplog):
    token = "lsr_" + "x" * 43
    with caplog.at_level(0):
        answer = client.get("/v1/indexes", headers={"Authorization": f"Bearer {token}"})
    assert token not in answer.text + str(answer.headers)
    assert token not in caplog.text
