"""Whatever is sent to whatever route, the answer is no failure of the server, and has its shape."""

import json
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from lsr.errors import CorruptionError, EncoderMismatchError, LockedError, LsrError
from service.api.app import create_app
from service.api.schemas.search_request import QueryBody, SearchBody
from service.settings import ServerSettings
from tests.index.conftest import items
from tests.service.conftest import URL

FRUIT = "/v1/indexes/fruit"
SEARCH, DOCUMENTS, DELETE = f"{FRUIT}/search", f"{FRUIT}/documents", f"{FRUIT}/documents/delete"
JSON = {"Content-Type": "application/json"}


def indexed(folder):
    made = Collection.create(folder / "fruit", encoder_fields("bm25", bm25=False))
    index_documents(made, items({"a": "apple banana", "b": "owls hunt at night"}))
    return made


def client_of(collection):
    app = create_app(ServerSettings(paths=[collection.path]))
    return TestClient(app, base_url=URL, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return indexed(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def client(collection):
    with client_of(collection) as opened:
        yield opened


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """A client whose requests may delete anything, the index too."""
    with client_of(indexed(tmp_path_factory.mktemp("attacked"))) as opened:
        yield opened


def check(answer):
    """The answer to a request that may be any: not the server's fault, and in the usual shape."""
    assert answer.status_code < 500, answer.text
    if answer.status_code < 400 or (answer.status_code == 405 and not answer.content):
        return None
    body = answer.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == {"code", "type", "message", "request_id"}
    assert error["code"] == answer.status_code
    assert error["request_id"] == answer.headers["x-request-id"]
    assert len(answer.content) < 5000
    return error


WORDS = """indices values rrf k weights must should must_not key match value any range gt lte exists
    mode effort timeout_ms ids id _id title contents metadata apple"""
words = st.sampled_from([*SearchBody.model_fields, *QueryBody.model_fields, *WORDS.split()])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**400, 3e38, 1.7e308, 1e-320, -0.0])
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["\ud800", "\0", "a\udfff", "text", "sparse", "apple", "x" * 5000])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4) | words, inner, max_size=3)
    ),
    max_leaves=6,
)


def near(names):
    """Bodies whose members have the right names, and any values."""
    return st.dictionaries(st.sampled_from(names.split()) | words, values, max_size=5)


queries = near("text tokens sparse dense")
searches = st.fixed_dictionaries(
    {"query": st.just({"text": "apple"}) | queries},
    optional={
        "fusion": st.fixed_dictionaries({"rrf": near("k weights")})
        | st.fixed_dictionaries({"linear": near("weights norm missing")})
        | near("rrf linear combmnz depth"),
        "cursor": scalars,
        "params": near("mode effort timeout_ms"),
        "filter": near("must should key match range exists"),
        "prefetch": st.lists(near("using limit"), max_size=2),
        "limit": scalars, "offset": scalars, "using": scalars, "explain": st.booleans(),
    },
)  # fmt: skip
documents = near("id text title metadata")
paths = st.sampled_from(["/livez", "/v1/indexes", FRUIT, SEARCH, DOCUMENTS, DELETE,
                         f"{DOCUMENTS}/a", "/", "/static/x", "/openapi.json"])  # fmt: skip
raw = st.binary(max_size=30) | st.sampled_from(
    [b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5000, b"NaN", b"[1e999]", b"\xff", b"\xef\xbb\xbf{}",
     b'"\\ud800"', b'{"query":{"text":NaN}}', b'{"query":{"text":"a"},"limit":-Infinity}']
)  # fmt: skip
many = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def encoded(body):
    return json.dumps(body).encode()  # in ASCII: halves of surrogate pairs are escaped


@many
@given(searches | near("query limit") | values)
def test_no_search_fails_the_server(attacked, body):
    check(attacked.post(SEARCH, content=encoded(body), headers=JSON))


@many
@given(near("ids filter") | values)
def test_no_delete_fails_the_server(attacked, body):
    check(attacked.post(DELETE, content=encoded(body), headers=JSON))


@many
@given(st.lists(documents | values, max_size=4), st.booleans())
def test_no_bulk_fails_the_server(attacked, records, as_lines):
    content = b"\n".join(map(encoded, records)) if as_lines else encoded(records)
    check(attacked.post(DOCUMENTS, content=content))


@many
@given(st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]), paths, raw)
def test_no_bytes_fail_the_server(attacked, method, path, content):
    check(attacked.request(method, path, content=content, headers=JSON))


@many
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), st.booleans())
def test_no_name_or_id_fails_the_server(attacked, name, whole):
    quoted = quote(name, safe="" if whole else "/%?#")
    for path in (f"/v1/indexes/{quoted}", f"{DOCUMENTS}/{quoted}", f"/{quoted}"):
        check(attacked.get(path))
    check(attacked.delete(f"{DOCUMENTS}/{quoted}"))
    check(attacked.post(f"/v1/indexes/{quoted}/search", json={"query": {"text": "a"}}))


NAMES = ["x" * 255, "x" * 256, "x" * 300, "\u00e9" * 200, "a\0b", "...", " ", "\n", "\\"]


@pytest.mark.parametrize("name", NAMES)
def test_an_index_that_can_not_be_is_not_found(collection, name):
    app = create_app(ServerSettings(paths=[collection.path.parent]))
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as client:
        for path in ("", "/documents/a"):
            error = check(client.get(f"/v1/indexes/{quote(name, safe='')}{path}"))
            assert error["code"] == 404
        content = b'{"id": "a", "text": "b"}'
        answer = client.post(f"/v1/indexes/{quote(name, safe='')}/documents", content=content)
        assert check(answer)["code"] in (404, 405)


TOO_MUCH = [
    ({"query": {"tokens": {"hunt": 3e38}}}, "weight 3e+38 is too large"),
    ({"query": {"tokens": {"owl": 3e38, "hunt": 3e38}}}, "weight 3e+38 is too large"),
    ({"query": {"tokens": {"hunt": 1e34}}}, "weight 1e+34 is too large"),
    ({"query": {"tokens": {"hunt": 1e39}}}, "weight 1e+39 is not allowed"),
    ({"query": {"sparse": {"indices": [3], "values": [3.4e38]}}}, "is too large"),
    ({"query": {"text": "hunt"}, "fusion": {"rrf": {"weights": {"sparse": 1.7e308}, "k": 0}},
      "prefetch": [{"using": "sparse", "limit": 5}]}, "RRF weight of 'sparse' is 1.7e+308"),
    ({"query": {"text": "hunt"}, "fusion": {"rrf": {"weights": {"lexical": 5}}}},
     "weights name 'lexical', which is no ranking of this search; there are: sparse"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "reason"), TOO_MUCH)
def test_what_no_score_can_hold_is_refused_by_name(client, body, reason):
    error = check(client.post(SEARCH, json=body))
    assert (error["code"], error["type"]) == (422, "invalid_input")
    assert reason in error["message"]


@pytest.mark.parametrize("weight", [1e-30, 1.0, 1e33 / 2])
def test_every_weight_that_is_taken_has_a_finite_score(client, weight):
    body = {"query": {"tokens": {"hunt": weight, "night": weight}}, "explain": True}
    (hit,) = client.post(SEARCH, json=body).json()["hits"]
    assert hit["id"] == "b"
    assert 0 < hit["score"] < 3e38


def test_ids_are_integers_or_strings_in_every_call(client):
    assert client.post(DOCUMENTS, json=[{"id": 7, "text": "numeric id"}]).json()["errors"] is False
    assert client.get(f"{DOCUMENTS}/7").json()["id"] == "7"
    answer = client.post(DELETE, json={"ids": [7, "nobody"]}).json()
    assert answer == {"deleted": 1, "ids": ["7"]}
    for wrong in (True, 7.5, None, [7], {}):
        assert check(client.post(DELETE, json={"ids": [wrong]}))["code"] == 422
    error = check(client.post(DELETE, content=b'{"ids": ["\\ud800"]}', headers=JSON))
    assert "half of a surrogate pair" in error["message"]


# What looks like an escape, as %2F, is in test_server.py: the test client decodes it twice.
IDS = ["new\nline", "\n", "line\n", "a\r\nb", "x/y", "/", "//", "%", "a?b#c",
       "a b", "delete", "\u2028", "\u00e9", "\U0001f600", "a\0b", "+", "x" * 512]  # fmt: skip


@pytest.mark.parametrize("name", IDS)
def test_every_id_that_is_written_has_an_address(client, name):
    written = client.post(DOCUMENTS, json=[{"id": name, "text": "plum"}])
    assert written.json()["items"][0]["status"] == 201
    address = f"{DOCUMENTS}/{quote(name, safe='')}"
    assert client.get(address).json()["id"] == name
    if name.strip() != name:
        check(client.get(f"{DOCUMENTS}/{quote(name.strip(), safe='')}"))
    assert client.delete(address).json() == {"deleted": 1, "ids": [name]}
    assert check(client.get(address))["code"] == 404


def test_an_id_is_not_taken_for_the_same_without_its_line_break(client):
    client.post(DOCUMENTS, json=[{"id": "same", "text": "plum"}])
    assert check(client.delete(f"{DOCUMENTS}/same%0A"))["code"] == 404
    assert client.delete(f"{DOCUMENTS}/same").json()["deleted"] == 1


def test_a_bad_byte_spoils_its_line_only(client):
    lines = [b'{"id": "l1", "text": "x"}', b'{"id": "l2", "text": "\xff"}', b'{"id": "l3"',
             b'{"id": "l4", "text": "x"}']  # fmt: skip
    answer = client.post(DOCUMENTS, content=b"\n".join(lines)).json()
    assert [item["status"] for item in answer["items"]] == [201, 422, 422, 201]
    assert "item 2: the item is not UTF-8 at its byte" in answer["items"][1]["error"]["message"]


@pytest.mark.parametrize(
    "error",
    [
        LockedError("the process 4711 is writing to {path}; wait until it has finished"),
        CorruptionError("the section 'x' of the segment {path}/segments/1.seg is damaged"),
        EncoderMismatchError("the field was built with splade:{path}/model"),
        LsrError("nothing was written to {path} (disk)"),
    ],
)
def test_clients_are_not_told_of_files_and_processes(
    client, collection, error, monkeypatch, caplog
):
    message = str(error).format(path=collection.path)

    def failing(*arguments):
        raise type(error)(message)

    monkeypatch.setattr(Collection, "get", failing)
    answer = client.get(f"{DOCUMENTS}/a", headers={"X-Request-ID": "r-1"})
    told = answer.json()["error"]["message"]
    assert "'fruit'" in told
    assert str(collection.path) not in answer.text
    assert str(collection.path.parent) not in answer.text
    assert "4711" not in answer.text
    assert f"request r-1: {message}" in caplog.text


def test_a_sentence_for_clients_names_the_index_and_not_its_folder(client, collection):
    body = {"query": {"text": "a"}, "using": "dense"}
    error = check(client.post(SEARCH, json=body))
    assert "the collection 'fruit' has no 'dense' field" in error["message"]
    assert str(collection.path.parent) not in error["message"]


HEADERS = """Range If-Range If-None-Match If-Modified-Since Content-Type Content-Encoding Accept
    Accept-Encoding X-Request-ID X-Forwarded-Proto X-Forwarded-For Authorization Expect Cookie"""
RANGES = ["bytes=abc", "bytes=5-1", "bytes=0-,1-,2-", "bytes=" + "0-1," * 5000]
TYPES = [
    "application/json; charset=x",
    "application/json;;=",
    "multipart/form-data",
    "=?utf-8?q?=ff?=",
]
header_values = st.text(st.characters(max_codepoint=255), max_size=40) | st.sampled_from(
    [*RANGES, *TYPES, "a" * 9000, "application/\xff"]
)


@many
@given(st.sampled_from(HEADERS.split()), header_values)
def test_no_header_fails_the_server(client, name, value):
    headers = {name: value.encode("latin-1")}
    for method, path in [("GET", "/"), ("GET", "/static/app.css"), ("GET", f"{DOCUMENTS}/b")]:
        assert client.request(method, path, headers=headers).status_code < 500
    body = {"query": {"text": "hunt"}}
    check(client.post(SEARCH, json=body, headers=headers))
