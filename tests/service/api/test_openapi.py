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


TASKS = "/v1/tasks/{task}"
KEPT = f"{INDEX}/snapshots/{{snapshot}}"
WAIT = "?wait=true"
# Of an index "made", the snapshots "one" and "two", and the task that was asked for last.
LIFE = [
    ("put", INDEX, 201, {"encoder": "bm25"}),
    ("put", INDEX, 409, None),
    ("patch", INDEX, 200, {"search_defaults": {"sparse": {"effort": 0.5, "feedback": "rm3"}}}),
    ("put", "/v1/aliases/{alias}", 201, {"index": "made"}),
    ("put", "/v1/aliases/{alias}", 200, {"index": "made"}),
    ("get", "/v1/aliases/{alias}", 200, None),
    ("get", "/v1/aliases", 200, None),
    ("post", "/v1/aliases", 200, {"changes": [{"alias": "b", "index": "made"}]}),
    ("delete", "/v1/aliases/{alias}", 200, None),
    ("post", f"{INDEX}/import{WAIT}", 200, {"source": "corpus.jsonl"}),
    ("post", f"{INDEX}/snapshots{WAIT}", 200, {"name": "one", "keep": 9}),
    ("get", f"{INDEX}/snapshots", 200, None),
    ("post", f"{INDEX}/merge{WAIT}", 200, None),
    ("post", f"{INDEX}/check{WAIT}", 200, None),
    ("post", f"{INDEX}/reencode{WAIT}", 200, {"encoder": "bm25", "passages": "off"}),
    ("post", f"{INDEX}/restore{WAIT}", 200, {"snapshot": "one", "replace": True}),
    ("get", TASKS, 200, None),
    ("get", "/v1/tasks?limit=2", 200, None),
    ("post", f"{INDEX}/import", 202, {"source": "corpus.jsonl"}),
    ("post", f"{INDEX}/documents?wait=false", 202, [{"id": "z", "text": "quince"}]),
    ("post", f"{INDEX}/evaluate?wait=false", 202, JUDGED),
    ("post", f"{INDEX}/snapshots", 202, None),
    ("post", f"{INDEX}/check", 202, None),
    ("post", f"{INDEX}/restore", 202, {"snapshot": "one", "replace": True}),
    ("post", f"{INDEX}/merge", 202, None),
    ("post", f"{INDEX}/reencode", 202, {"encoder": "bm25"}),
    ("delete", TASKS, 200, None),
    ("get", TASKS, 404, None),
    ("delete", KEPT, 200, None),
    ("delete", INDEX, 200, None),
    ("delete", INDEX, 404, None),
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
    made.close()
    app = create_app(ServerSettings(paths=[folder], admin_key=ADMIN, import_folders=[folder]))
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


@pytest.fixture(scope="module")
def life(client):
    """The same of the calls of an index that comes and goes."""
    made, task = [], ""
    for method, path, status, body in LIFE:
        asked = "none" if status == 404 else task
        url = path.format(index="made", alias="live", snapshot="one", task=asked)
        # Whoever is at it lets go of it soon.
        while (answer := client.request(method, url, json=body)).status_code == 503:
            assert answer.headers["Retry-After"] == "1"
        assert answer.status_code == status, (url, answer.text)
        task = answer.json().get("id", task)
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
    called = {(m, p.partition("?")[0], str(s)) for m, p, s, _ in [*CALLS, *LIFE] if s < 300}
    assert routes == called


def test_every_answer_is_what_its_schema_says_and_no_more(document, answers, life):
    for method, path, status, body in [*answers, *life]:
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
    """But for the query encoder, which only the command line can choose, and unknown tokens, words,
    rewriting and snapshots of replicas, of which ``test_app.py``, ``test_words.py``,
    ``test_rewriting.py`` and ``test_replica.py`` have some.
    """
    found = [body for _, path, status, body in answers if path.endswith("/search")
             and status == "200"]  # fmt: skip
    seen = {
        "SearchAnswer": {key for body in found for key in body},
        "SearchMeta": {key for body in found for key in body["meta"]}
        | {"query_encoder", "unknown_tokens", "unknown_words", "rewritten", "snapshot"},
        "SearchHit": {key for body in found for hit in body["hits"] for key in hit},
    }
    schemas = document["components"]["schemas"]
    assert seen == {name: set(schemas[name]["properties"]) for name in seen}


def test_the_tasks_show_all_that_they_may_tell(document, answers, life):
    """But for the error, and the results of a bulk write and of an evaluation, of which
    ``test_tasks.py`` and ``test_evaluation.py`` have some."""
    schemas = document["components"]["schemas"]
    found = [body for _, _, status, body in life if "progress" in body and status == "200"]
    assert {key for task in found for key in task} | {"error"} == set(
        schemas["TaskAnswer"]["properties"]
    )
    results = [set(task["result"]) for task in found if "result" in task]
    results.append({"created", "updated", "unchanged", "rejected", "problems"})
    results += [set(body) for _, path, _, body in answers if path.endswith("/evaluate")]
    for each in schemas["TaskAnswer"]["properties"]["result"]["anyOf"]:
        assert set(resolved(document, each)["properties"]) in results


def test_every_change_of_indexes_has_an_example(document):
    bodies = [
        operation["requestBody"]["content"]
        for methods in document["paths"].values()
        for operation in methods.values()
        if "requestBody" in operation and {"indexes", "aliases", "tasks"} & set(operation["tags"])
    ]
    for content in bodies:
        schema = content["application/json"]["schema"]
        parts = [resolved(document, each) for each in schema.get("anyOf", [schema])]
        examples = [each for each in (*parts, content["application/json"]) if _has_example(each)]
        assert examples, schema


def _has_example(schema):
    members = schema.get("properties", {}).values()
    return "example" in schema or "examples" in schema or any(map(_has_example, members))


def test_the_page_of_the_document_is_there(client):
    assert client.get("/docs").status_code == 200
