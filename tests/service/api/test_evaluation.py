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
from tests.service.api.test_lifecycle import served
from tests.service.conftest import URL
from tests.waiting import wait_until

EVALUATE = "/v1/indexes/fruit/evaluate"
TIMES = {"took_ms", "ms_per_query"}
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


def test_without_a_depth_measures_see_as_many_results_as_they_name(tmp_path):
    texts = {f"d{number}": "apple" for number in range(130)}
    collection = Collection.create(tmp_path / "fruit", encoder_fields("bm25", bm25=False))
    index_documents(collection, items(texts))
    body = {"queries": {"q": "apple"}, "qrels": {"q": dict.fromkeys(texts, 1)}}
    with TestClient(create_app(ServerSettings(paths=[collection.path])), base_url=URL) as client:
        names = ["Recall@100", "recall_1000"]
        answer = client.post(EVALUATE, json=body | {"measures": names}).json()
        assert answer["measures"] == pytest.approx({"Recall@100": 100 / 130, "recall_1000": 1.0})
        refused = client.post(EVALUATE, json=body | {"measures": ["R@2000"]})
        assert "R@2000 needs 2000 results" in refused.text


def test_grades_below_zero_are_not_relevant_and_end_no_server(client):
    qrels = {"q1": {"c": 2, "a": -1}, "q2": {"d": -100}, "q5": {"e": -2, "a": -2, "c": 1}}
    answer = client.post(EVALUATE, json={"queries": QUERIES, "qrels": qrels, "per_query": True})
    shown = {query: each["MRR@10"] for query, each in answer.json()["per_query"].items()}
    assert shown["q2"] == 0.0
    assert shown["q1"] > 0


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


@pytest.fixture(scope="module")
def working(tmp_path_factory):
    """A server that has tasks: of a folder, with an index "fruit"."""
    folder = tmp_path_factory.mktemp("evaluations")
    with served(folder) as opened:
        opened.put("/v1/indexes/fruit", json={"encoder": "bm25"})
        documents = [{"id": name, "text": text} for name, text in TEXTS.items()]
        opened.post("/v1/indexes/fruit/documents", json=documents)
        yield opened


def ended(client, identifier, headers=None):
    def task():
        return client.get(f"/v1/tasks/{identifier}", headers=headers).json()

    wait_until(lambda: task()["status"] not in ("enqueued", "processing"))
    return task()


def timeless(answer):
    return {name: value for name, value in answer.items() if name not in TIMES}


def test_a_task_finds_what_a_request_does(working):
    body = {"queries": QUERIES, "qrels": QRELS}
    more = {"measures": ["nDCG@3"], "per_query": True, "run": "trec", "search": {"filter": "x = 1"}}
    for asked in (body, body | more, body | more | {"search": {"rerank": {"model": "field:no"}}}):
        now = working.post(EVALUATE, json=asked)
        later = working.post(f"{EVALUATE}?wait=false", json=asked)
        assert later.status_code == 202, later.text
        assert (later.json()["kind"], later.json()["index"]) == ("evaluate", "fruit")
        task = ended(working, later.json()["id"])
        if now.status_code == 200:
            assert task["status"] == "succeeded", task
            assert timeless(task["result"]) == timeless(now.json())
            assert set(task["result"]) == set(now.json())
        else:
            wrong = now.json()["error"]
            assert task["error"] == {name: wrong[name] for name in ("type", "message")}
    listed = working.get("/v1/tasks?kind=evaluate").json()["tasks"]
    assert [each["status"] for each in listed] == ["failed", "succeeded", "succeeded"]
    assert not {"per_query", "run"} & set(listed[1]["result"])


def test_a_task_has_time_tells_how_far_it_is_and_is_canceled(working):
    """The request of the same body would be out of time."""
    queries = {f"q{n}": "banana night apple " * 20 for n in range(9000)}
    search = {"feedback": {"rm3": {"depth": 3}}}
    asked = {"queries": queries, "qrels": {"q1": {"a": 1}}, "search": search}
    path = f"/v1/tasks/{working.post(f'{EVALUATE}?wait=false', json=asked).json()['id']}"
    wait_until(lambda: working.get(path).json()["progress"].get("total") == 9000)
    assert working.delete(path).status_code == 200
    wait_until(lambda: working.get(path).json()["status"] == "canceled")
    assert 0 < working.get(path).json()["progress"]["done"] <= 9000


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"qrels": {"other": {"a": 1}}}, 422, "'other' is judged"),
        ({"measures": ["nDCG@10", "wrong"]}, 400, "unknown measures: wrong"),
        ({"search": {"rerank": {"model": "none"}}}, 422, "re-ranks by no model"),
        ({"queries": {f"q{n}": "x" for n in range(1001)}, "depth": 1000}, 422, "1001000 results"),
    ],
)
def test_what_no_task_could_measure_is_refused_at_once(working, body, status, reason):
    asked = {"queries": QUERIES, "qrels": QRELS} | body
    answer = working.post(f"{EVALUATE}?wait=false", json=asked)
    assert answer.status_code == status, answer.text
    assert reason in answer.json()["error"]["message"]


def test_a_key_that_may_search_sees_evaluations_and_no_other_task(tmp_path):
    body = {"queries": QUERIES, "qrels": QRELS}
    with served(tmp_path) as client:
        client.put("/v1/indexes/fruit", json={"encoder": "bm25"})
        merge = client.post("/v1/indexes/fruit/merge?wait=true").json()["id"]

        def key(*scopes, indexes=("*",)):
            _, token = client.app.state.keys.create("a key", scopes, indexes)
            return {"Authorization": f"Bearer {token}"}

        search = key("search", indexes=["fruit"])
        task = client.post(f"{EVALUATE}?wait=false", json=body, headers=search).json()
        assert ended(client, task["id"], search)["status"] == "succeeded"
        for path, headers in (
            (merge, search),
            (task["id"], key("search", indexes=["other"])),
            (task["id"], key("metrics")),
        ):
            assert "key" in error(
                client.get(f"/v1/tasks/{path}", headers=headers), 403, "forbidden"
            )
        assert client.get(f"/v1/tasks/{merge}", headers=key("write")).status_code == 200
