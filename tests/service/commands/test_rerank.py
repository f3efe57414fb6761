"""``--rerank`` of lsr search and lsr eval, and lsr models --rerankers."""

import json

import pytest

from lsr.rerankers.presets import RERANKER_PRESETS
from tests.lsr.rerankers.cross_encoders import save_cross_encoder

DOCUMENTS = {"a": "apple pie", "b": "banana pie and cherry", "c": "cherry", "d": "apple apple"}


@pytest.fixture
def place(tmp_path, lsr):
    folder = tmp_path / "data"
    (folder / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": name, "text": text}) for name, text in DOCUMENTS.items()]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "apple pie cherry"}))
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tb\t1\n")
    save_cross_encoder(tmp_path / "model")
    assert lsr("index", "data", "--into", "c", "--encoder", "bm25").returncode == 0
    return tmp_path


def test_search_says_what_was_done(place, lsr):
    done = lsr("search", "c", "apple pie", "--rerank", "./model,depth=2,weight=0.5")
    assert done.returncode == 0, done.stderr
    assert "re-ranked 2 by ./model" in done.stdout.decode()
    answer = json.loads(lsr("search", "c", "apple pie", "--rerank", "./model", "--json").stdout)
    assert answer["meta"]["reranked"]["documents"] == 3
    assert all("rerank" in hit["scores"] for hit in answer["hits"])
    for wrong, message in (
        ("./none", "does not exist"),
        ("./model,depth=x", "is no number"),
        ("./model,depth=0", "allowed is 1 to 1000"),
        ("./model,colour=1", "'colour' is not an option"),
    ):
        refused = lsr("search", "c", "apple", "--rerank", wrong)
        assert refused.returncode != 0
        assert message in " ".join(refused.stderr.decode().split())


def test_eval_scores_the_new_order(place, lsr):
    common = ("eval", "data", "--index", "c", "--json")
    (plain,) = json.loads(lsr(*common).stdout)["results"]
    done = lsr(*common, "--rerank", "field:sparse,depth=3")
    (same,) = json.loads(done.stdout)["results"]
    assert same["measures"] == plain["measures"]
    assert same["encoder"] == "bm25>field:sparse"
    assert "rerank" in same["provenance"]["fields"]
    (new,) = json.loads(lsr(*common, "--rerank", "./model").stdout)["results"]
    assert new["provenance"]["fields"]["rerank"] != same["provenance"]["fields"]["rerank"]


def test_rerankers_are_listed(lsr):
    cards = json.loads(lsr("models", "--rerankers", "--json").stdout)
    assert [card["name"] for card in cards] == list(RERANKER_PRESETS)
    shown = lsr("models", "--rerankers").stdout.decode()
    assert "cross-encoder/ms-marco-MiniLM-L6-v2" in shown
    assert "ettin-reranker-17m" in shown
