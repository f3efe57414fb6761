"""Mistakes that are easily made get an answer that says what to do, in the shape of all errors."""

import json

import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from service.api.app import create_app
from service.settings import ServerSettings
from tests.index.conftest import items
from tests.service.api.test_app import error
from tests.service.conftest import URL

FRUIT = "/v1/indexes/fruit"
SEARCH, FACETS, DOCUMENTS = f"{FRUIT}/search", f"{FRUIT}/facets", f"{FRUIT}/documents"
QUERY = {"query": {"text": "owls"}, "with_payload": False}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    made = Collection.create(tmp_path_factory.mktemp("plain") / "fruit", encoder_fields("bm25"))
    index_documents(made, items({"a": "apple banana", "b": "owls hunt at night", "c/": "fig"}))
    app = create_app(ServerSettings(paths=[made.path]))
    with TestClient(app, base_url=URL, follow_redirects=False) as opened:
        yield opened


def hits(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["hits"]


TYPES = [
    None,
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/octet-stream",
    "application/json; charset=utf-8",
    "application/vnd.api+json",
    "multipart/form-data",
    "nonsense",
]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("method", ["search", "patch", "delete"])
def test_a_body_is_json_whatever_its_type_is_called(client, kind, method):
    headers = {} if kind is None else {"Content-Type": kind}
    calls = {
        "search": ("POST", SEARCH, QUERY),
        "patch": ("PATCH", f"{DOCUMENTS}/a", {"title": "Apples"}),
        "delete": ("POST", f"{DOCUMENTS}/delete", {"ids": ["nobody"]}),
    }
    verb, path, body = calls[method]
    answer = client.request(verb, path, content=json.dumps(body), headers=headers)
    assert answer.status_code == 200, answer.text


def test_a_query_may_be_a_text(client):
    assert hits(client.post(SEARCH, json=QUERY | {"query": "owls"})) == hits(
        client.post(SEARCH, json=QUERY)
    )
    facets = {"facets": [{"key": "x", "over": "matching"}]}
    for query in ("owls", {"text": "owls"}):
        (found,) = client.post(FACETS, json=facets | {"query": query}).json()["facets"]
        assert found["documents"] == 1
    for wrong in (7, ["owls"], True, None):
        error(client.post(SEARCH, json={"query": wrong}), 422, "invalid_request")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"query": "owls"', "line 1 column 17"),
        (b'{"query": "owls",\n "limit": }', "line 2 column 11"),
        (b"query=owls", "line 1 column 1"),
        (b'{"query": NaN}', "the number NaN is not allowed"),
        (b'{"query": "\xff"}', "not UTF-8 at its byte 11"),
        (b"", "has no body"),
        (b" \n", "has no body"),
    ],
)
def test_what_is_no_json_is_told_with_the_place(client, body, reason):
    for path in (SEARCH, FACETS, f"{DOCUMENTS}/delete"):
        answer = client.post(path, content=body)
        kind = "bad_request" if "no body" in reason else "malformed_json"
        assert reason in error(answer, 400, kind)


def test_an_array_of_documents_that_is_no_json_is_told_with_the_place(client):
    for body, reason in [(b'[{"id": "x", "text": }]', "column"), (b'[{"id": "x"}', "one array")]:
        assert reason in error(client.post(DOCUMENTS, content=body), 400, "malformed_json")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"query": "a", "limt": 3}, "the member 'limt' is not known here, did you mean 'limit'?"),
        ({"query": {"txt": "a"}}, "did you mean 'text'? allowed are text, tokens, sparse, dense"),
        ({"query": "a", "params": {"efort": 1}}, "did you mean 'effort'?"),
        ({"query": "a", "zzzz": 1}, "the member 'zzzz' is not known here; allowed are using, pre"),
    ],
)
def test_an_unknown_option_is_named_with_what_is_allowed(client, body, reason):
    message = error(client.post(SEARCH, json=body), 422, "invalid_request")
    assert reason in message


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [
        ("GET", "/v1/indexes?limit=3", "the parameter 'limit' is not known here; none is allowed"),
        ("GET", f"{FRUIT}?q=x", "'q'"),
        ("POST", f"{SEARCH}?limit=3", "options stand in the body"),
        ("GET", f"{DOCUMENTS}/a?x=", "'x'"),
        ("DELETE", f"{DOCUMENTS}/nobody?" + "x" * 5000 + "=1", "xxx"),
    ],
)
def test_a_parameter_that_is_not_known_is_said(client, method, path, reason):
    body = QUERY if method == "POST" else None
    answer = client.request(method, path, json=body)
    assert reason in error(answer, 422, "invalid_request")


def test_a_body_where_none_is_taken_is_said(client):
    for method, path in [("GET", "/v1/indexes"), ("GET", FRUIT), ("DELETE", f"{DOCUMENTS}/a")]:
        answer = client.request(method, path, content=b"{}")
        assert "takes no body" in error(answer, 400, "bad_request")
        answer = client.request(method, path, content=iter([b"{}"]))
        assert "takes no body" in error(answer, 400, "bad_request")
    assert client.get(FRUIT, headers={"Content-Length": "0"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", SEARCH, "POST"),
        ("PUT", f"{DOCUMENTS}/a", "DELETE, GET, PATCH"),
        ("POST", "/static/app.js", "GET, HEAD"),
        ("DELETE", "/v1/indexes", "GET"),
    ],
)
def test_another_method_is_told_which_are_allowed(client, method, path, allowed):
    answer = client.request(method, path)
    assert f"{method} is not for {path}; allowed are {allowed}" in error(
        answer, 405, "method_not_allowed"
    )
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nix", "/nix/", "/static/nix", "/v1//indexes"])
def test_a_path_that_leads_nowhere_is_told(client, path):
    assert "/docs lists" in error(client.get(path), 404, "not_found")


def test_a_slash_at_the_end_does_no_harm_but_belongs_to_an_id(client):
    assert client.get("/v1/indexes/").json() == client.get("/v1/indexes").json()
    assert client.get(f"{FRUIT}/").json() == client.get(FRUIT).json()
    assert hits(client.post(f"{SEARCH}/", json=QUERY)) == hits(client.post(SEARCH, json=QUERY))
    assert client.post(f"{DOCUMENTS}/", json=[{"id": "z", "text": "z"}]).status_code == 200
    assert client.get(f"{DOCUMENTS}/c%2F").json()["id"] == "c/"
    assert client.get(f"{DOCUMENTS}/c/").json()["id"] == "c/"
    error(client.get(f"{DOCUMENTS}/c"), 404, "not_found")
    error(client.get(f"{DOCUMENTS}/a/"), 404, "not_found")
