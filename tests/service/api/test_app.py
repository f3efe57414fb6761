import json
import math
import shutil

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.importing import import_vectors, open_for_import
from index.indexing import index_documents
from index.search.config import Prefetch, SearchConfig
from index.search.feedback import Rm3, Rocchio
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.readers.corpus import Corpus
from lsr.vectors.formats import open_vectors
from service.api.app import create_app
from service.settings import ServerSettings
from tests.service.conftest import URL


@pytest.fixture
def collection(tmp_path, corpus):
    made = Collection.create(tmp_path / "all" / "fruit", encoder_fields("bm25"))
    index_documents(made, Corpus(str(corpus)))
    return made


@pytest.fixture
def client(collection):
    with TestClient(create_app(ServerSettings(paths=[collection.path])), base_url=URL) as opened:
        yield opened


def error(response, status, kind):
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "type", "message", "request_id"}
    assert (body["error"]["code"], body["error"]["type"]) == (status, kind)
    assert body["error"]["request_id"] == response.headers["x-request-id"]
    return body["error"]["message"]


def test_search_answers_what_the_pipeline_answers(client, collection):
    body = {"query": {"text": "banana cherry"}, "limit": 2, "explain": True}
    answer = client.post("/v1/indexes/fruit/search", json=body).json()
    expected = search(collection, SearchQuery("banana cherry"), SearchConfig(limit=2, explain=True))
    assert [(h["id"], h["score"]) for h in answer["hits"]] == [
        (h.id, h.score) for h in expected.hits
    ]
    first = answer["hits"][0]
    assert first["payload"]["title"] == expected.hits[0].document.title
    assert first["scores"] == {"sparse": first["score"]}
    assert math.isclose(
        sum(t["contribution"] for t in first["terms"]["sparse"]), first["score"], rel_tol=1e-5
    )
    assert [t["token"] for t in answer["query_terms"]["sparse"]] != []
    words = {each["word"] for each in answer["query_words"]["sparse"]}
    assert words == {"banana", "cherry"}
    assert answer["meta"]["exact"] is True
    assert answer["meta"]["encoder"] == {"sparse": collection.fields.named("sparse").fingerprint}
    assert answer["took_ms"] > 0
    marked = [(mark["field"], mark["spans"]) for mark in first["highlights"]]
    assert marked[0][0] == "title"


def test_metadata_comes_with_the_payload(client):
    body = {"query": {"text": "apple"}}
    (hit,) = client.post("/v1/indexes/fruit/search", json=body).json()["hits"]
    assert hit["payload"]["metadata"] == {"url": "http://a.example"}


def test_whole_texts_come_only_where_they_are_asked_for(client):
    def hit(**body):
        answer = client.post("/v1/indexes/fruit/search", json={"query": "apple"} | body)
        return answer.json()["hits"][0]

    usual = {"title": "Apples", "metadata": {"url": "http://a.example"}}
    assert hit()["payload"] == usual
    assert [mark["snippet"] for mark in hit()["highlights"]] == ["Apples", "apple banana"]
    for whole in (True, ["title", "text", "metadata"]):
        assert hit(with_payload=whole)["payload"] == usual | {"text": "apple banana"}
    context = {"context_tokens": 50}
    assert hit(**context)["payload"] == usual
    assert hit(**context, with_payload=["text"])["payload"] == {"text": "apple banana"}


def test_without_payload_hits_are_bare(client):
    body = {"query": {"text": "apple"}, "with_payload": False}
    (hit,) = client.post("/v1/indexes/fruit/search", json=body).json()["hits"]
    assert set(hit) == {"id", "score", "scores"}


@pytest.mark.parametrize(
    ("body", "status", "kind", "reason"),
    [
        ({"query": {"text": ""}}, 422, "invalid_input", "query is empty"),
        ({"query": {}}, 400, "bad_request", "needs the query's text"),
        ({}, 422, "invalid_request", "query: Field required"),
        ({"query": {"text": "a"}, "nope": 1}, 422, "invalid_request", "nope"),
        ({"query": {"text": "a"}, "limit": 0}, 422, "invalid_input", "limit is 0"),
        ({"query": {"text": "a"}, "limit": "x"}, 422, "invalid_request", "limit"),
        ({"query": {"text": "a"}, "using": "dense"}, 400, "bad_request", "no 'dense' field"),
        ({"query": {"tokens": {"zzzz": -1}}}, 422, "invalid_input", "not negative"),
        ({"query": {"sparse": {"indices": [1], "values": []}}}, 422, "invalid_input", "1 indices"),
        (
            {"query": {"text": "a"}, "fusion": {"rrf": {"k": -1}}},
            422,
            "invalid_input",
            "RRF constant",
        ),
        (
            {"query": {"text": "a"}, "fusion": {"rrf": {}, "linear": {}}},
            422,
            "invalid_input",
            "names rrf and linear; give one",
        ),
        (
            {"query": {"text": "a"}, "fusion": {"linear": {"norm": "l2"}}},
            422,
            "invalid_request",
            "norm",
        ),
        (
            {"query": {"text": "a"}, "fusion": {"linear": {"norm": {"lexical": "max"}}}},
            422,
            "invalid_input",
            "norms name 'lexical', which is no ranking of this search; there are: sparse",
        ),
        (
            {"query": {"text": "a"}, "fusion": {"combmnz": {"weights": {"lexical": 5}}}},
            422,
            "invalid_input",
            "weights name 'lexical', which is no ranking of this search; there are: sparse",
        ),
        ({"query": {"text": "a"}, "fusion": {"depth": 0}}, 422, "invalid_input", "depth of the fu"),
        ({"query": {"text": "a"}, "cursor": "abc"}, 422, "invalid_input", "cursor is not one that"),
        ({"query": {"text": "a"}, "filter": {}}, 422, "invalid_input", "a filter is empty"),
        ({"query": {"text": "a"}, "filter": []}, 422, "invalid_request", "filter"),
        (
            {"query": {"text": "a"}, "filter": {"must": [{"key": "\ud800", "exists": True}]}},
            422,
            "invalid_input",
            "surrogate",
        ),
        (
            {"query": {"text": "a"}, "filter": {"\ud800": 1}},
            422,
            "invalid_input",
            r"a filter has '\ud800'",
        ),
        (
            {"query": {"text": "a"}, "feedback": {}},
            422,
            "invalid_input",
            "the feedback names no method; give one of average, rocchio, rm3",
        ),
        (
            {"query": {"text": "a"}, "feedback": {"rm3": {}, "average": {}}},
            422,
            "invalid_input",
            "names average and rm3; give one of",
        ),
        (
            {"query": {"text": "a"}, "feedback": {"rocchio": {"depth": 101}}},
            422,
            "invalid_input",
            "the feedback's depth is 101; allowed is 1 to 100",
        ),
        ({"query": {"text": "a"}, "feedback": {"bo1": {}}}, 422, "invalid_request", "bo1"),
        (
            {"query": {"text": "a"}, "feedback": {"rm3": {"interpolation": "both"}}},
            400,
            "bad_request",
            "one ranking alone is not fused",
        ),
        ({"query": {"text": "a"}, "dense_weight": 0}, 422, "invalid_input", "above 0"),
        ({"query": {"text": "a"}, "params": {"mode": "fast"}}, 422, "invalid_request", "mode"),
        ({"query": {"text": "a"}, "params": {"effort": 0.5}}, 422, "invalid_input", "approximate"),
        (
            {"query": {"text": "a"}, "params": {"mode": "approximate", "timeout_ms": -1}},
            422,
            "invalid_input",
            "time budget is -1.0 ms",
        ),
    ],
)
def test_bad_searches_are_refused_in_one_shape(client, body, status, kind, reason):
    content = json.dumps(body)  # in ASCII, so that half of a surrogate pair gets through
    headers = {"Content-Type": "application/json"}
    response = client.post("/v1/indexes/fruit/search", content=content, headers=headers)
    assert reason in error(response, status, kind)


def test_bad_json_and_unknown_places_have_the_same_shape(client):
    error(client.post("/v1/indexes/fruit/search", content=b"{"), 400, "malformed_json")
    message = error(
        client.post("/v1/indexes/none/search", json={"query": {"text": "a"}}), 404, "not_found"
    )
    assert message == "there is no index 'none'; there are: fruit"
    error(client.get("/nowhere"), 404, "not_found")
    error(client.get("/v1/indexes/fruit/search"), 405, "method_not_allowed")
    error(client.get("/v1/indexes/fruit/documents/zzz"), 404, "not_found")
    error(client.delete("/v1/indexes/fruit/documents/zzz"), 404, "not_found")
    error(client.get("/v1/indexes/..%2Ffruit"), 404, "not_found")


def test_a_request_id_is_kept_if_it_is_plain(client):
    given = client.get("/livez", headers={"X-Request-ID": "abc-123"})
    assert given.headers["x-request-id"] == "abc-123"
    strange = client.get("/livez", headers={"X-Request-ID": "a b\tc" * 40})
    assert strange.headers["x-request-id"] not in ("", "a b\tc" * 40)


@pytest.mark.parametrize("as_lines", [True, False])
def test_upsert_keeps_the_good_items_and_names_the_bad(client, collection, as_lines):
    good = [{"id": "new", "text": "fresh fig"}, {"id": "a", "text": "apple pie"}]
    bad = [{"text": "no id"}, {"id": "new", "text": "again"}, {"id": "x", "text": 5}]
    records = [good[0], bad[0], good[1], bad[1], bad[2]]
    content = "\n".join(map(json.dumps, records)) + "\n" if as_lines else json.dumps(records)
    answer = client.post("/v1/indexes/fruit/documents", content=content).json()
    assert answer["errors"] is True
    assert [item["status"] for item in answer["items"]] == [201, 422, 200, 422, 422]
    assert (
        "item 4: the id 'new' was given before, as item 1"
        in (answer["items"][3]["error"]["message"])
    )
    assert client.get("/v1/indexes/fruit/documents/new").json()["text"] == "fresh fig"
    body = {"query": {"text": "fig pie"}}
    hits = client.post("/v1/indexes/fruit/search", json=body).json()["hits"]
    assert {hit["id"] for hit in hits} == {"new", "a"}
    assert len(Collection.open(collection.path)) == 4


def test_a_broken_line_fails_alone(client):
    answer = client.post("/v1/indexes/fruit/documents", content='{"id": "n", "text": "x"}\n{"id"')
    assert [item["status"] for item in answer.json()["items"]] == [201, 422]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"[]", b"\xff\xfe", b"[1", b"[NaN]"])
def test_bodies_without_documents_are_refused(client, content):
    response = client.post("/v1/indexes/fruit/documents", content=content)
    if response.status_code != 200:
        malformed = content.startswith(b"[") and content != b"[]"
        status, kind = (400, "malformed_json") if malformed else (422, "invalid_input")
        error(response, status, kind)
    else:
        assert all(item["status"] == 422 for item in response.json()["items"])


def test_delete_says_what_was_there(client):
    answer = client.post("/v1/indexes/fruit/documents/delete", json={"ids": ["a", "zzz"]})
    assert answer.json() == {"deleted": 1, "ids": ["a"]}
    assert client.delete("/v1/indexes/fruit/documents/b").json()["deleted"] == 1
    body = {"query": {"text": "banana"}}
    assert client.post("/v1/indexes/fruit/search", json=body).json()["hits"] == []


def test_a_document_is_changed_in_part(client):
    path = "/v1/indexes/fruit/documents/a"
    before = client.get(path).json()
    answer = client.patch(path, json={"metadata": {"year": 2020}})
    assert answer.json() == {"id": "a", "result": "updated"}
    assert client.patch(path, json={"metadata": {"year": 2020}}).json()["result"] == "unchanged"
    changed = client.get(path).json()
    assert changed == before | {"metadata": before["metadata"] | {"year": 2020}}
    assert client.patch(path, json={"text": "zucchini", "title": None}).status_code == 200
    found = client.post("/v1/indexes/fruit/search", json={"query": {"text": "zucchini"}}).json()
    assert [hit["id"] for hit in found["hits"]] == ["a"]
    assert found["hits"][0]["payload"]["title"] == ""
    error(client.patch("/v1/indexes/fruit/documents/zzz", json={"text": "x"}), 404, "not_found")
    error(client.patch(path, json={"id": "x"}), 422, "invalid_request")


def put_books(client):
    books = [
        {"id": str(year), "text": "novel", "year": year, "by": {"name": name}}
        for year, name in [(1999, "Ann"), (2003, "Bob"), (2007, "Ann")]
    ]
    client.post("/v1/indexes/fruit/documents", json=books)


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"key": "year", "range": {"gte": 2000}}, {"2003", "2007"}),
        ({"must": [{"key": "by.name", "match": {"value": "Ann"}}]}, {"1999", "2007"}),
        ({"must_not": [{"key": "by.name", "match": {"any": ["Ann", "Cid"]}}]}, {"2003"}),
        ({"must": [{"key": "url", "exists": True}]}, set()),
    ],
)
def test_filters_restrict_searches_and_deletes(client, wanted, ids):
    put_books(client)
    search_body = {"query": {"text": "novel"}, "filter": wanted}
    answer = client.post("/v1/indexes/fruit/search", json=search_body).json()
    assert {hit["id"] for hit in answer["hits"]} == ids
    book = {"key": "year", "exists": True}
    path = "/v1/indexes/fruit/documents/delete"
    gone = client.post(path, json={"filter": {"must": [wanted, book]}}).json()
    assert gone == {"deleted": len(ids), "ids": sorted(ids)}
    left = client.post("/v1/indexes/fruit/search", json={"query": {"text": "novel"}}).json()
    assert {hit["id"] for hit in left["hits"]} == {"1999", "2003", "2007"} - ids
    assert client.get("/v1/indexes/fruit").json()["documents"] == 6 - len(ids)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "invalid_request"),
        ({"ids": ["a"], "filter": {"key": "url", "exists": True}}, "invalid_request"),
        ({"ids": []}, "invalid_request"),
        ({"filter": {}}, "invalid_input"),
        ({"filter": {"must": []}}, "invalid_input"),
    ],
)
def test_a_delete_that_does_not_say_what_deletes_nothing(client, body, kind):
    error(client.post("/v1/indexes/fruit/documents/delete", json=body), 422, kind)
    assert client.get("/v1/indexes/fruit").json()["documents"] == 3


def test_approximate_searches_say_how_sure_they_are(client, collection):
    body = {
        "query": {"text": "banana"},
        "params": {"mode": "approximate", "effort": 0.3, "timeout_ms": 50},
        "explain": True,
    }
    meta = client.post("/v1/indexes/fruit/search", json=body).json()["meta"]
    config = SearchConfig(mode="approximate", effort=0.3, time_budget_ms=50)
    expected = search(collection, SearchQuery("banana"), config)
    assert (meta["exact"], meta["bound_gap"]) == (expected.exact, expected.bound_gap)
    assert meta["plan"] == expected.strategies
    assert set(meta["plan"]) == {"sparse"}
    plain = client.post("/v1/indexes/fruit/search", json={"query": {"text": "banana"}}).json()
    assert "plan" not in plain["meta"]


def test_ids_with_slashes_have_an_address(client):
    client.post("/v1/indexes/fruit/documents", json=[{"id": "x/y z", "text": "fig"}])
    assert client.get("/v1/indexes/fruit/documents/x%2Fy%20z").json()["text"] == "fig"


def test_too_large_a_body_is_refused(collection):
    with TestClient(
        create_app(ServerSettings(paths=[collection.path], largest_body=100)), base_url=URL
    ) as client:
        path = "/v1/indexes/fruit/documents"
        assert "allowed are 100" in error(client.post(path, content=b"x" * 101), 413, "too_large")
        chunks = (b"x" * 60 for _ in range(3))
        error(client.post(path, content=chunks), 413, "too_large")


def test_a_write_while_another_process_writes_is_refused(client, collection, monkeypatch):
    monkeypatch.setattr("index.collection.collection.LONGEST_WAIT", 0.05)
    with Collection.open(collection.path).writing():
        response = client.post("/v1/indexes/fruit/documents", json=[{"id": "n", "text": "x"}])
        error(response, 503, "locked")


def test_pages_of_other_sites_can_not_write(client):
    path, body = "/v1/indexes/fruit/documents", [{"id": "n", "text": "x"}]
    other = client.post(path, json=body, headers={"Origin": "http://evil.example"})
    assert "other sites" in error(other, 403, "forbidden")
    own = client.post(path, json=body, headers={"Origin": URL})
    assert own.status_code == 200


def test_a_collection_indexed_anew_in_its_place_is_noticed(client, collection):
    shutil.rmtree(collection.path)
    error(client.get("/v1/indexes/fruit"), 404, "not_found")
    Collection.create(collection.path, encoder_fields("bm25"))
    assert client.get("/v1/indexes/fruit").json()["documents"] == 0


def test_health_and_description(client):
    assert client.get("/livez").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}
    (index,) = client.get("/v1/indexes").json()["indexes"]
    described = client.get("/v1/indexes/fruit").json()
    details = {name: described[name] for name in ("metadata", "passages", "search_defaults")}
    assert index | details == described
    assert (index["name"], index["documents"]) == ("fruit", 3)
    assert [field["inference_free"] for field in index["fields"]] == [True]


def test_not_ready_before_the_start(collection):
    client = TestClient(create_app(ServerSettings(paths=[collection.path])), base_url=URL)
    error(client.get("/readyz"), 503, "not_ready")
    assert client.get("/livez").status_code == 200


def test_the_page_allows_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "http" not in page.text.replace("http-equiv", "").replace("https?", "")
    for asset in ("/static/app.css", "/static/app.js"):
        assert asset in page.text
        assert client.get(asset).status_code == 200


def test_a_folder_of_collections_is_served_and_new_ones_are_noticed(collection, tmp_path):
    with TestClient(create_app(ServerSettings(paths=[tmp_path / "all"])), base_url=URL) as client:
        assert [i["name"] for i in client.get("/v1/indexes").json()["indexes"]] == ["fruit"]
        Collection.create(tmp_path / "all" / "late", encoder_fields("bm25"))
        body = {"query": {"text": "apple"}}
        assert client.post("/v1/indexes/late/search", json=body).json()["hits"] == []


@pytest.fixture
def both(tmp_path, corpus, masked_lm, dense_model):
    """A collection with every kind of field, and a client of it."""
    fields = encoder_fields(str(masked_lm), str(dense_model), bm25=True)
    made = Collection.create(tmp_path / "both", fields)
    index_documents(made, Corpus(str(corpus)))
    with TestClient(create_app(ServerSettings(paths=[made.path])), base_url=URL) as client:
        yield made, client


def test_every_dense_and_hybrid_search_is_the_pipelines(both):
    made, client = both
    for using in ("sparse", "dense", "bm25", "hybrid"):
        body = {"query": {"text": "apple plum"}, "using": using}
        answer = client.post("/v1/indexes/both/search", json=body).json()
        expected = search(made, SearchQuery("apple plum"), SearchConfig(using=using))
        assert [(h["id"], h["score"]) for h in answer["hits"]] == [
            (h.id, h.score) for h in expected.hits
        ]
        assert answer["using"] == using
        assert answer["meta"].get("fusion") == expected.fusion


def test_searches_with_feedback_are_the_pipelines(both):
    made, client = both
    feedback = {"rocchio": {"depth": 2, "using": "bm25", "terms": 3}}
    body = {"query": {"text": "apple"}, "using": "sparse+bm25", "feedback": feedback}
    answer = client.post("/v1/indexes/both/search", json=body | {"explain": True}).json()
    asked = Rocchio(2, terms=3, using="bm25")
    config = SearchConfig(using="sparse+bm25", feedback=asked, explain=True)
    expected = search(made, SearchQuery("apple"), config)
    assert [h["id"] for h in answer["hits"]] == [h.id for h in expected.hits]
    assert answer["meta"]["feedback"] == expected.feedback
    assert len(expected.feedback["bm25"]) == 2
    assert len(answer["query_terms"]["bm25"]) > 1
    prefetch = [{"using": "bm25", "limit": 5, "feedback": {"rm3": {}}}, {"using": "dense"}]
    body = {"query": {"text": "apple"}, "prefetch": prefetch}
    answer = client.post("/v1/indexes/both/search", json=body).json()
    parts = Prefetch("bm25", 5, Rm3()), Prefetch("dense", 100)
    expected = search(made, SearchQuery("apple"), SearchConfig(prefetch=parts))
    assert [h["id"] for h in answer["hits"]] == [h.id for h in expected.hits]
    assert answer["meta"]["feedback"] == expected.feedback
    body = {"query": {"text": "apple"}, "dense_weight": 2}
    response = client.post("/v1/indexes/both/search", json=body)
    assert "is one model" in error(response, 400, "bad_request")


def test_pages_by_cursor_are_one_ranking_and_the_answer_names_its_fusion(both):
    fusion = {"linear": {"norm": "z-score"}, "depth": 50}
    body = {"query": {"text": "apple plum"}, "using": "sparse+dense", "fusion": fusion}

    def ask(**more):
        return both[1].post("/v1/indexes/both/search", json=body | more)

    def found(page):
        return [(hit["id"], hit["score"], hit["scores"]) for hit in page["hits"]]

    whole = ask(limit=50).json()
    assert "cursor" not in whole
    expected = {"weights": {}, "norm": "z-score", "missing": "minimum"}
    assert whole["meta"]["fusion"] == {"linear": expected}
    assert whole["meta"]["depth"] == {"sparse": 50, "dense": 50}
    pages = [ask(limit=1).json()]
    while "cursor" in pages[-1]:
        pages.append(ask(limit=1, cursor=pages[-1]["cursor"]).json())
    assert [hit for page in pages for hit in found(page)] == found(whole)
    other = ask(query={"text": "apple"}, cursor=pages[0]["cursor"])
    assert "cursor is of another search" in error(other, 422, "invalid_input")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3)
    ),
    max_leaves=8,
)
members = st.sampled_from(
    [
        "query",
        "limit",
        "offset",
        "cursor",
        "using",
        "prefetch",
        "fusion",
        "explain",
        "filter",
        "params",
        "feedback",
    ]
)


@settings(max_examples=50)
@given(st.dictionaries(members, json_values), json_values)
def test_no_body_makes_the_server_fail(client, body, document):
    content = json.dumps(body).encode()
    assert client.post("/v1/indexes/fruit/search", content=content).status_code < 500
    sent = client.post("/v1/indexes/fruit/documents", content=json.dumps([document]).encode())
    assert sent.status_code < 500


def test_a_document_without_a_finite_vector_gets_its_own_status(client, collection, monkeypatch):
    kind = type(collection.fields.encoder(next(iter(collection.fields))))
    encode = kind.encode_documents

    def spoil(self, texts):
        vectors = encode(self, texts)
        for row, text in enumerate(texts):
            if text == "plum":
                vectors.values[vectors.indptr[row]] = math.nan
        return vectors

    monkeypatch.setattr(kind, "encode_documents", spoil)
    lines = [{"id": "x", "text": "fig"}, {"id": "y", "text": "plum"}, {"id": "z", "text": "lime"}]
    answer = client.post("/v1/indexes/fruit/documents", json=lines).json()
    assert answer["errors"] is True
    assert [item["status"] for item in answer["items"]] == [201, 422, 201]
    assert answer["items"][1]["error"]["message"].startswith("item 2: the encoder of the field")
    assert {"x", "z"} <= set(collection.ids())
    assert "y" not in collection.ids()


def test_an_index_of_imported_vectors_is_searched_by_tokens(tmp_path, caplog):
    path = tmp_path / "v.jsonl"
    path.write_text('{"id": "a", "contents": "Plum pie", "vector": {"plum": 2.5, "x y": 1}}\n')
    source = open_vectors(str(path))
    import_vectors(open_for_import(tmp_path / "fruit", source), source)
    with TestClient(create_app(ServerSettings(paths=[tmp_path / "fruit"])), base_url=URL) as client:
        found = client.post("/v1/indexes/fruit/search", json={"query": {"tokens": {"plum": 2}}})
        assert [(hit["id"], hit["score"]) for hit in found.json()["hits"]] == [("a", 5.0)]
        assert "unknown_tokens" not in found.json()["meta"]
        query = {"tokens": {"plum": 2, "fig": 1}}
        found = client.post("/v1/indexes/fruit/search", json={"query": query}).json()
        assert ([hit["score"] for hit in found["hits"]], found["meta"]["unknown_tokens"]) == (
            [5.0],
            ["fig"],
        )
        refused = client.post("/v1/indexes/fruit/search", json={"query": {"text": "plum"}})
        assert "give tokens and weights" in error(refused, 400, "bad_request")
        refused = client.post("/v1/indexes/fruit/documents", json=[{"id": "b", "text": "plum"}])
        assert "no text can be indexed into it" in error(refused, 400, "bad_request")
    assert not caplog.records
