"""`.../evaluate` against the measures of the command line's own experiment."""

import pytest
from fastapi.testclient import TestClient

from eval.measures import measure, measure_queries
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from service.api.app import create_app
from service.settings import ServerSettings
from tests.index.conftest import items
from tests.service.api.test_app import error
from tests.service.conftest import URL

EVALUATE = "/v1/indexes/fruit/evaluate"
TEXTS = {
    "a": "apple banana", "b": "owls hunt mice at night", "c": "banana fig",
    "d": "mice sleep at night", "e": "apple fig plum",
}  # fmt: skip
QUERIES = {"q1": "banana", "q2": "night", "q3": "zebra", "q4": "", "q5": "apple plum"}
QRELS = {"q1": {"c": 2, "a": 1}, "q2": {"d": 1}, "q3": {"a": 1}, "q4": {"a": 1}}


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    made = Collection.create(
        tmp_path_factory.mktemp("evaluate") / "fruit", encoder_fields("bm25", bm25=False)
    )
    index_documents(made, items(TEXTS))
    return made


@pytest.fixture(scope="module")
def client(collection):
    with TestClient(create_app(ServerSettings(paths=[collection.path])), base_url=URL) as opened:
        yield opened


def rankings(collection, limit):
    return {
        name: [
            (hit.id, hit.score)
            for hit in search(collection, SearchQuery(text), SearchConfig(limit=limit)).hits
        ]
        if text
        else []
        for name, text in QUERIES.items()
    }


def test_measures_are_those_of_the_rankings(client, collection):
    body = {"queries": QUERIES, "qrels": QRELS}
    answer = client.post(EVALUATE, json=body).json()
    run = rankings(collection, 100)
    assert answer["measures"] == pytest.approx(measure(QRELS, run))
    assert (answer["queries"], answer["documents"], answer["using"]) == (4, 5, "sparse")
    assert not {"per_query", "run"} & set(answer)
    more = {"measures": ["nDCG@3", "P@1"], "per_query": True, "run": "trec", "depth": 1}
    answer = client.post(EVALUATE, json=body | more).json()
    run = rankings(collection, 1)
    for name in more["measures"]:
        values = {query: each[name] for query, each in answer["per_query"].items()}
        assert values == pytest.approx(measure_queries(QRELS, run, name))
    lines = [line.split() for line in answer["run"].splitlines()]
    assert [(query, document) for query, _, document, *_ in lines] == [
        (query, document) for query, ranking in run.items() for document, _ in ranking
    ]
    assert all(line[1] == "Q0" and line[5] == "lsr-sparse" for line in lines)
    filtered = client.post(EVALUATE, json=body | {"search": {"filter": "x = 1"}}).json()
    assert set(filtered["measures"].values()) == {0.0}


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"queries": {}}, 422, "at least 1"),
        ({"qrels": {"other": {"a": 1}}}, 422, "'other' is judged"),
        ({"qrels": {"q1": {"a": 1.5}}}, 422, "qrels"),
        ({"qrels": {"q1": {"a": 10**9}}}, 422, "qrels"),
        ({"measures": ["nDCG@10", "wrong"]}, 400, "unknown measures: wrong"),
        ({"measures": []}, 422, "at least 1"),
        ({"search": {"limit": 3}}, 422, "'limit' is not known here"),
        ({"search": {"using": "dense"}}, 400, "no 'dense' field"),
        ({"depth": 1001}, 422, "depth"),
        ({"run": "json"}, 422, "run"),
    ],
)
def test_what_can_not_be_measured_is_refused(client, body, status, reason):
    answer = client.post(EVALUATE, json={"queries": QUERIES, "qrels": QRELS} | body)
    assert answer.status_code == status, answer.text
    assert reason in answer.json()["error"]["message"]


def test_what_takes_too_long_is_refused(collection):
    settings = ServerSettings(paths=[collection.path], deadline_ms=300)
    with TestClient(create_app(settings), base_url=URL) as client:
        queries = {f"q{n}": "banana night apple " * 10 for n in range(9000)}
        answer = client.post(EVALUATE, json={"queries": queries, "qrels": {"q1": {"a": 1}}})
        if answer.status_code != 503:
            assert "the time is up" in error(answer, 422, "invalid_input")
