"""Facets, groups, sorts, parts of documents and keys over REST."""

import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import upsert_documents
from lsr.corpus.documents import Document
from service.api.app import create_app
from service.settings import ServerSettings
from tests.service.conftest import URL

DOCUMENTS = [
    Document(
        f"d{n}",
        "apple " * (n % 4) + "pear",
        f"title {n}",
        {"third": n % 3, "day": f"2026-01-{n + 1:02}", "even": n % 2 == 0, "by": {"name": "x"}},
    )
    for n in range(12)
]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    made = Collection.create(tmp_path_factory.mktemp("rest") / "fruit", encoder_fields("bm25"))
    upsert_documents(made, DOCUMENTS)
    with TestClient(create_app(ServerSettings(paths=[made.path])), base_url=URL) as opened:
        yield opened


def ask(client, path="search", status=200, **body):
    answer = client.post(f"/v1/indexes/fruit/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def search(client, **body):
    return ask(client, query={"text": "apple"}, **body)


def ids(answer):
    return [hit["id"] for hit in answer["hits"]]


def test_a_filter_may_be_text(client):
    text = search(client, filter="third = 1 and day >= 2026-01-05T00:00Z")
    tree = {
        "must": [
            {"key": "third", "match": {"value": 1}},
            {"key": "day", "range": {"gte": "2026-01-05"}},
        ]
    }
    assert ids(text) == ids(search(client, filter=tree)) == ["d7", "d10"]
    refused = ask(client, status=422, query={"text": "apple"}, filter="third ! 1")
    assert "can't be read at" in refused["error"]["message"]


def test_hits_are_sorted_and_grouped(client):
    assert ids(search(client, sort=["day:desc"], limit=3)) == ["d11", "d10", "d9"]
    by = [{"key": "third", "order": "desc"}, {"key": "_score"}, "day"]
    assert ids(search(client, sort=by, limit=3)) == ["d11", "d2", "d5"]
    answer = search(client, group_by={"key": "even", "hits": 2}, sort=["day"])
    groups = [(hit["group"], hit["id"]) for hit in answer["hits"]]
    assert groups == [(False, "d1"), (False, "d3"), (True, "d2"), (True, "d6")]
    assert answer["total"] == {"value": 9, "relation": "eq"}
    assert {"sort", "group"} <= answer["meta"]["stages_ms"].keys()
    assert [hit["group"] for hit in search(client, group_by="nowhere")["hits"]] == [None]


def test_facets_say_what_they_count(client):
    answer = search(
        client, filter="even = true", facets=["third", {"key": "third", "over": "matching"}]
    )
    first, second = answer["facets"]
    assert (first["over"], first["documents"], first["exact"]) == ("filtered", 6, True)
    assert [value["count"] for value in first["values"]] == [2, 2, 2]
    assert (second["over"], second["documents"], second["exact"]) == ("matching", 3, True)
    assert second["values"] == [{"value": n, "count": 1} for n in (0, 1, 2)]


def test_facets_alone(client):
    answer = ask(client, "facets", facets=[{"key": "day", "limit": 2}, "even"], filter="third = 0")
    day, even = answer["facets"]
    assert (day["distinct"], day["having"], len(day["values"])) == (4, 4, 2)
    assert even["values"] == [{"value": False, "count": 2}, {"value": True, "count": 2}]
    matching = {"facets": [{"key": "even", "over": "matching"}]}
    answer = ask(client, "facets", query={"text": "apple"}, **matching)
    assert answer["facets"][0]["documents"] == 9
    refused = ask(client, "facets", status=422, **matching)
    assert "there is no query" in refused["error"]["message"]
    assert ask(client, "facets", facets=["tird"])["warnings"]
    assert ask(client, "facets", status=422, facets=[])


def test_payloads_hold_the_parts_that_are_named(client):
    (hit,) = search(client, limit=1, with_payload=["title", "third"])["hits"]
    number = int(hit["id"][1:])
    assert hit["payload"] == {"title": f"title {number}", "metadata": {"third": number % 3}}
    assert "highlights" in hit
    (hit,) = search(client, limit=1, with_payload=["text"])["hits"]
    assert set(hit["payload"]) == {"text"}
    ask(client, status=422, query={"text": "apple"}, with_payload=[])


def test_least_scores_and_totals(client):
    best = search(client, limit=1)["hits"][0]["score"]
    answer = search(client, min_score=best)
    assert answer["total"]["value"] == len(answer["hits"]) == 3
    assert search(client, limit=1)["total"]["relation"] == "gte"
    assert search(client, limit=1, exact_total=True)["total"] == {"value": 9, "relation": "eq"}


def test_warnings_stand_in_the_answer(client):
    (warning,) = search(client, filter="third = '1'")["warnings"]
    assert "write the number 1" in warning
    assert "warnings" not in search(client, filter="third = 1")


def test_an_index_lists_its_keys(client):
    metadata = client.get("/v1/indexes/fruit").json()["metadata"]
    assert {each["key"]: each["kinds"] for each in metadata} == {
        "by": {"object": 12},
        "by.name": {"string": 12},
        "day": {"date": 12},
        "even": {"boolean": 12},
        "third": {"number": 12},
    }
    assert "metadata" not in client.get("/v1/indexes").json()["indexes"][0]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"sort": [{"key": "a", "order": "up"}]}, "sort"),
        ({"sort": ["a"] * 9}, "sort"),
        ({"sort": ["a", "a:desc"]}, "name 'a' more than once"),
        ({"group_by": {"key": "a", "hits": 0}}, "hits a group are 0"),
        ({"facets": [{"key": "a", "limit": 0}]}, "limit of the facet"),
        ({"facets": [{"key": "a", "over": "all"}]}, "facets"),
        ({"facets": [""]}, "0 characters"),
        ({"min_score": "x"}, "min_score"),
    ],
)
def test_bad_requests_are_refused(client, body, reason):
    assert reason in ask(client, status=422, query={"text": "a"}, **body)["error"]["message"]
