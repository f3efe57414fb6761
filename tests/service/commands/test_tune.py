"""``lsr tune``, and that the command line, REST and evaluation search by what it wrote."""

import json

import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from tests.service.conftest import URL

DOCUMENTS = {"a": "apple pie", "b": "banana pie and cherry", "c": "cherry", "d": "apple apple"}
TUNE = ("tune", "c", "--queries", "data", "--qrels", "data/qrels/test.tsv")


@pytest.fixture
def place(tmp_path, lsr):
    folder = tmp_path / "data"
    (folder / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": name, "text": text}) for name, text in DOCUMENTS.items()]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    queries = {"q1": "apple pie", "q2": "cherry", "q3": "banana"}
    asked = [json.dumps({"_id": name, "text": text}) for name, text in queries.items()]
    (folder / "queries.jsonl").write_text("\n".join(asked))
    judged = "query-id\tcorpus-id\tscore\nq1\td\t1\nq2\tb\t1\nq3\tb\t1\n"
    (folder / "qrels/test.tsv").write_text(judged)
    made = lsr("index", "data", "--into", "c", "--encoder", "lsr-tiny-v1", "--bm25")
    assert made.returncode == 0, made.stderr
    return tmp_path


def search_meta(lsr, *options):
    done = lsr("search", "c", "apple pie", "--using", "sparse+bm25", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_forced_is_what_every_face_searches_by(place, lsr):
    common = (*TUNE, "--using", "sparse+bm25", "--folds", "3")
    before = search_meta(lsr)
    tried = json.loads(lsr(*common, "--dry-run", "--json").stdout)
    assert not tried["written"]
    assert tried["default"]["settings"]["fusion"].startswith("linear,norm=max")
    assert tried["gain"]["low"] <= tried["gain"]["mean"] <= tried["gain"]["high"]
    assert len(tried["folds"]) == 3
    assert search_meta(lsr)["hits"] == before["hits"]

    shown = lsr(*common)
    assert shown.returncode == 0, shown.stderr
    assert "the gain may be chance, so nothing was written" in shown.stdout.decode()
    assert json.loads(lsr("info", "c", "--json").stdout)["search_defaults"] == {}

    forced = lsr(*common, "--force")
    assert "c keeps it as the default of sparse+bm25" in forced.stdout.decode()
    settings = json.loads(lsr("info", "c", "--json").stdout)["search_defaults"]["bm25+sparse"]
    assert settings == tried["chosen"]["settings"]
    assert settings["fusion"] in lsr("info", "c").stdout.decode()

    options = [f"--fusion={settings['fusion']}"]
    if "feedback" in settings:
        options.append(f"--feedback={settings['feedback']}")
    said = search_meta(lsr, "--untuned", *options)
    assert said["meta"]["fusion"] != before["meta"]["fusion"]
    tuned = search_meta(lsr)
    assert (tuned["hits"], tuned["meta"]["fusion"]) == (said["hits"], said["meta"]["fusion"])
    assert search_meta(lsr, "--untuned")["hits"] == before["hits"]

    body = {"query": {"text": "apple pie"}, "using": "sparse+bm25"}
    with TestClient(create_app([place / "c"]), base_url=URL) as client:
        answers = [
            client.post("/v1/indexes/c/search", json=body | more).json()
            for more in ({}, {"tuned": False})
        ]
    assert [each["meta"]["fusion"] for each in answers] == [
        said["meta"]["fusion"],
        before["meta"]["fusion"],
    ]

    score = ("eval", "data", "--index", "c", "--using", "sparse+bm25", "--json")
    rows = [json.loads(lsr(*score, *more).stdout)["results"] for more in ([], ["--untuned"])]
    means = [row["measures"]["nDCG@10"] for (row,) in rows]
    assert means == pytest.approx([tried["chosen"]["mean"], tried["default"]["mean"]])

    assert lsr("tune", "c", "--reset").returncode == 0
    assert search_meta(lsr)["hits"] == before["hits"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tune", "c"), "give the judged queries"),
        ((*TUNE, "--reset"), "takes no queries"),
        ((*TUNE, "--dry-run", "--force"), "--dry-run writes nothing"),
        ((*TUNE, "--folds", "9"), "allowed is 2 to the number of judged queries, 3"),
        ((*TUNE, "--measure", "good"), "unknown measures: good"),
        ((*TUNE, "--using", "dense"), "has no 'dense' field"),
        (("tune", "none", "--reset"), "none"),
    ],
)
def test_what_cannot_be_is_said(place, lsr, arguments, message):
    refused = lsr(*arguments)
    assert refused.returncode != 0
    assert message in " ".join(refused.stderr.decode().split())
