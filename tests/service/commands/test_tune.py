"""``lsr tune``, and that the command line, REST and evaluation search by what it wrote."""

import json
from contextlib import closing

import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import SPARSE, sparse_field
from index.indexing import index_documents
from lsr.corpus.readers.corpus import Corpus
from lsr.encoders.catalogue import load_encoder
from service.api.app import create_app
from service.settings import ServerSettings
from tests.service.conftest import URL, write_jsonl

# A field that hardly minds how long documents are, and one that does.
FIELDS = [
    sparse_field(SPARSE, load_encoder("bm25,analyzer=wordpiece,k1=0.1,b=0")),
    sparse_field("bm25", load_encoder("bm25")),
]
FRUIT = ["apple", "banana", "cherry", "lemon"]
DOCUMENTS = {f"short {each}": each for each in FRUIT} | {
    f"long {each}": f"{each} {each}" + " stone" * 18 for each in FRUIT
}
TUNE = ("tune", "c", "--queries", "data", "--qrels", "data/qrels/test.tsv")


def judge(place, length):
    lines = [f"{each}\t{length} {each}\t1" for each in FRUIT]
    (place / "data/qrels/test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *lines]))


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "data"
    (folder / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", DOCUMENTS), ("queries", {each: each for each in FRUIT})):
        write_jsonl(folder / f"{name}.jsonl", [{"_id": n, "text": t} for n, t in texts.items()])
    judge(tmp_path, "short")
    with closing(Collection.create(tmp_path / "c", FIELDS)) as made:
        index_documents(made, Corpus(str(folder)))
    return tmp_path


def search_meta(lsr, *options):
    done = lsr("search", "c", "apple", "--using", "sparse+bm25", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_was_found_is_what_every_face_searches_by(place, lsr):
    common = (*TUNE, "--using", "sparse+bm25", "--folds", "3")
    before = search_meta(lsr)
    tried = json.loads(lsr(*common, "--dry-run", "--json").stdout)
    assert not tried["written"]
    assert tried["default"]["settings"]["fusion"].startswith("linear,norm=max")
    assert tried["gain"]["low"] <= tried["gain"]["mean"] <= tried["gain"]["high"]
    assert len(tried["folds"]) == 3
    assert search_meta(lsr)["hits"] == before["hits"]

    assert json.loads(lsr("info", "c", "--json").stdout)["search_defaults"] == {}

    shown = lsr(*common)
    assert shown.returncode == 0, shown.stderr
    assert "c keeps it as the default of sparse+bm25" in shown.stdout.decode()
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

    body = {"query": {"text": "apple"}, "using": "sparse+bm25"}
    with TestClient(create_app(ServerSettings(paths=[place / "c"])), base_url=URL) as client:
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


def test_a_gain_that_may_be_chance_is_written_by_force_alone(place, lsr):
    judge(place, "long")
    common = (*TUNE, "--using", "sparse+bm25", "--folds", "2", "--no-feedback")
    shown = lsr(*common)
    assert shown.returncode == 0, shown.stderr
    assert "the gain may be chance, so nothing was written" in shown.stdout.decode()
    assert json.loads(lsr("info", "c", "--json").stdout)["search_defaults"] == {}
    assert json.loads(lsr(*common, "--force", "--json").stdout)["written"]
    assert json.loads(lsr("info", "c", "--json").stdout)["search_defaults"] != {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tune", "c"), "give the judged queries"),
        ((*TUNE, "--reset"), "takes no queries"),
        ((*TUNE, "--dry-run", "--force"), "--dry-run writes nothing"),
        ((*TUNE, "--folds", "9"), "allowed is 2 to the number of judged queries, 4"),
        ((*TUNE, "--measure", "good"), "unknown measures: good"),
        ((*TUNE, "--folds", "2", "--using", "dense"), "has no 'dense' field"),
        (("tune", "none", "--reset"), "none"),
    ],
)
def test_what_cannot_be_is_said(place, lsr, arguments, message):
    refused = lsr(*arguments)
    assert refused.returncode != 0
    assert message in " ".join(refused.stderr.decode().split())
