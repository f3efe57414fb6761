"""The OpenAPI document says what each route answers, and each answers exactly that."""

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator, ValidationError

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from lsr.corpus.readers.corpus import Corpus
from service.api.app import create_app
from service.settings import ServerSettings
from tests.service.conftest import URL

ADMIN = "an-admin-key-of-the-tests"
INDEX = "/v1/indexes/{index}"
SEARCHES = [
    {"query": {"text": "banana cherry"}},
    {"query": {"text": "banana cherry"}},
    {"query": {"text": "banana cherry"}, "explain": True},
    {"query": {"text": "banana"}, "with_payload": False, "params": {"mode": "approximate"}},
    {"query": {"tokens": {"cherry": 1.5}}, "using": "sparse", "highlight": False},
    {"query": {"text": "zzzz"}, "using": "bm25"},
    {"query": {"text": "cherry"}, "using": "bm25", "feedback": {"rm3": {"depth": 1}}},
    {"query": {"text": "cherry"}, "context_tokens": 50},
    {"query": {"text": "banana"}, "using": "sparse+bm25", "limit": 1},
    {
        "query": {"text": "banana"},
        "using": "sparse+bm25",
        "context_tokens": 50,
        "rerank": {"model": "field:bm25", "time_budget_ms": 60_000},
    },
    {"query": {"text": "plum"}, "params": {"mode": "approximate", "timeout_ms": 1e-9}},
    {"query": {"text": "banana"}, "dimensions": {"keys": ["url.deep"]}},
    {"query": {"text": "banana"}, "facets": ["url.deep", "nowhere"], "group_by": "url.deep"},
]
FACETS = {"facets": ["url.deep", "nowhere"], "filter": "url exists"}
BULK = [{"id": "new", "text": "fig"}, {"id": "a", "text": "other"}, {"text": "no id"},
        {"id": "c", "text": "plum <b>lemon</b>"}, {"id": "new", "text": "twice"}]  # fmt: skip
JUDGED = {"queries": {"q": "banana"}, "qrels": {"q": {"a": 1}}}
CALLS = [
    ("get", "/livez", 200, None),
    ("get", "/readyz", 200, None),
    ("get", "/v1/indexes", 200, None),
    ("get", INDEX, 200, None),
    *(("post", f"{INDEX}/search", 200, body) for body in SEARCHES),
    ("post", f"{INDEX}/search", 200, {"query": {"like": "a"}}),
    ("post", f"{INDEX}/search/batch", 200, {"searches": [{"query": "banana"}, {"query": ""}]}),
    ("post", f"{INDEX}/explain", 200, {"id": "a", "query": "banana cherry"}),
    ("post", f"{INDEX}/explain", 200, {"id": "c", "query": "plum", "using": "sparse+bm25"}),
    ("post", f"{INDEX}/explain", 200, {"id": "c", "query": "fig", "using": "bm25"}),
    ("post", f"{INDEX}/facets", 200, FACETS),
    ("post", f"{INDEX}/evaluate", 200, JUDGED),
    ("post", f"{INDEX}/evaluate", 200, JUDGED | {"per_query": True, "run": "trec"}),
    ("post", "/v1/embed_sparse", 200, {"inputs": "banana", "tokens": True}),
    ("get", f"{INDEX}/documents", 200, None),
    ("get", f"{INDEX}/documents?limit=1&with_payload=true", 200, None),
    ("post", f"{INDEX}/documents/get", 200, {"ids": ["a", "zzzz"]}),
    ("get", f"{INDEX}/documents/{{id}}", 200, None),
    ("post", f"{INDEX}/documents", 200, BULK),
    ("patch", f"{INDEX}/documents/{{id}}", 200, {"metadata": {"year": 2020, "url": None}}),
    ("post", f"{INDEX}/documents/delete", 200, {"ids": ["b", "zzzz"]}),
    ("delete", f"{INDEX}/documents/{{id}}", 200, None),
    ("get", f"{INDEX}/documents/{{id}}", 404, None),
    ("post", "/v1/keys", 201, {"name": "k", "expires": "2999-01-01T00:00:00Z"}),
    ("get", "/v1/keys", 200, None),
    ("delete", "/v1/keys/{id}", 200, None),
    ("get", "/v1/keys", 401, None),
    ("post", f"{INDEX}/search", 422, {"query": {"text": ""}}),
    ("post", f"{INDEX}/search", 400, {"query": {}}),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory, masked_lm, dense_model):
    folder = tmp_path_factory.mktemp("openapi")
    lines = (
        '{"_id": "a", "title": "Apples", "text": "apple banana", "url": {"deep": [1, null]}}\n'
        '{"_id": "b", "text": "cherry cherry banana"}\n'
        f'{{"_id": "c", "text": "{"plum <b>lemon</b>. " * 300}"}}\n'
    )
    (folder / "corpus.jsonl").write_text(lines)
    fields = encoder_fields(str(masked_lm), str(dense_model), bm25=True)
    made = Collection.create(folder / "fruit", fields, passages="auto")
    index_documents(made, Corpus(str(folder / "corpus.jsonl")))
    app = create_app(ServerSettings(paths=[made.path], admin_key=ADMIN))
    headers = {"Authorization": f"Bearer {ADMIN}"}
    with TestClient(app, base_url=URL, headers=headers) as opened:
        yield opened


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


@pytest.fixture(scope="module")
def answers(client):
    """The answer to each call, all made in turn."""
    made, key = [], ""
    for method, path, status, body in CALLS:
        url = path.format(index="fruit", id=key if "/keys/" in path else "a")
        headers = {"Authorization": "Bearer nobody"} if status == 401 else None
        answer = client.request(method, url, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        if path == "/v1/keys" and method == "post":
            key = answer.json()["key"]["id"]
        made.append((method, path.partition("?")[0], str(status), answer.json()))
    return made


def schema_of(document, method, path, status):
    """The schema of an answer, with the document's components, that allows no other members."""
    content = document["paths"][path][method]["responses"][status]["content"]
    return closed({**content["application/json"]["schema"], "components": document["components"]})


def closed(schema):
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {key: closed(part) for key, part in schema.items()}
    return copy | {"additionalProperties": False} if "properties" in schema else copy


def resolved(document, schema):
    while "$ref" in schema or "items" in schema:
        if "items" in schema:
            schema = schema["items"]
            continue
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def test_every_success_has_a_schema_with_properties(document):
    routes = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for status in [code for code in operation["responses"] if code.startswith("2")]:
                content = operation["responses"][status]["content"]
                if path == "/metrics":
                    assert set(content) == {"text/plain"}
                    continue
                content = content["application/json"]
                assert resolved(document, content["schema"])["properties"], (method, path)
                routes.add((method, path, status))
    assert routes == {(m, p, str(s)) for m, p, s, _ in CALLS if s < 300 and "?" not in p}


def test_every_answer_is_what_its_schema_says_and_no_more(document, answers):
    for method, path, status, body in answers:
        Draft202012Validator(schema_of(document, method, path, status)).validate(body)


@pytest.mark.parametrize("change", ["more", "less"])
def test_an_answer_with_other_members_is_found(document, answers, change):
    """The validation above can fail."""
    method, path, status, body = next(each for each in answers if each[1].endswith("/search"))
    first, *rest = body["hits"]
    spoilt = first | {"more": 1} if change == "more" else {"id": first["id"]}
    with pytest.raises(ValidationError):
        Draft202012Validator(schema_of(document, method, path, status)).validate(
            body | {"hits": [spoilt, *rest]}
        )


def test_the_searches_show_all_that_an_answer_may_hold(document, answers):
    """But for the query encoder, which only the command line can choose, and unknown tokens, words
    and rewriting, of which ``test_app.py``, ``test_words.py`` and ``test_rewriting.py`` have some.
    """
    found = [body for _, path, status, body in answers if path.endswith("/search")
             and status == "200"]  # fmt: skip
    seen = {
        "SearchAnswer": {key for body in found for key in body},
        "SearchMeta": {key for body in found for key in body["meta"]}
        | {"query_encoder", "unknown_tokens", "unknown_words", "rewritten"},
        "SearchHit": {key for body in found for hit in body["hits"] for key in hit},
    }
    schemas = document["components"]["schemas"]
    assert seen == {name: set(schemas[name]["properties"]) for name in seen}


def test_the_page_of_the_document_is_there(client):
    assert client.get("/docs").status_code == 200
