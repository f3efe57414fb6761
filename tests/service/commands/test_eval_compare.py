"""`lsr eval compare`."""

import json

import pytest

from tests.service.conftest import sentence, write_jsonl


@pytest.fixture
def fruit(tmp_path):
    folder = tmp_path / "fruit"
    (folder / "qrels").mkdir(parents=True)
    write_jsonl(folder / "corpus.jsonl", [
        {"_id": "d1", "text": "a red cherry"}, {"_id": "d2", "text": "a yellow lemon"},
        {"_id": "d3", "text": "melons and lemon trees"},
    ])  # fmt: skip
    write_jsonl(folder / "queries.jsonl", [
        {"_id": "q1", "text": "cherry"}, {"_id": "q2", "text": "lemon"},
    ])  # fmt: skip
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td3\t2\n")
    (tmp_path / "worse.run").write_text("q1 Q0 d2 1 2 x\nq2 Q0 d2 1 2 x\nq2 Q0 d3 2 1 x\n")
    return folder


def test_a_run_and_an_encoder_are_compared_with_rankings_and_terms(lsr, fruit):
    asked = ["eval", "compare", "worse.run", "bm25", "--dataset", "fruit"]
    shown = lsr(*asked).stdout.decode()
    assert "queries that changed most, worse.run -> bm25" in shown
    assert "q1: cherry\n  0.0000 -> 1.0000 (+1.0000)" in shown
    assert "* d1" in shown
    assert "d1 by bm25: the document is number 1 of 1; sparse: cherri" in shown
    [found] = json.loads(lsr(*asked, "--json").stdout)["datasets"]
    assert (found["dataset"], found["measure"], found["queries"]) == ("fruit", "nDCG@10", 2)
    [pair] = found["pairs"]
    assert (pair["first"], pair["second"], pair["losses"]) == ("worse.run", "bm25", 1)
    [change] = found["changes"]
    assert change["queries"][0]["second_hits"][0]["relevant"]
    reasons = change["queries"][0]["reasons"]
    assert {reason["system"] for reason in reasons} == {"bm25"}
    assert reasons[0]["terms"]["sparse"][0][0] == "cherri"


def test_runs_are_compared_by_qrels_alone(lsr, fruit, tmp_path):
    lsr("eval", "fruit", "--encoder", "bm25", "--save-run", "bm25.run")
    asked = ["eval", "compare", "worse.run", "bm25.run"]
    shown = lsr(*asked, "--qrels", "fruit/qrels/test.tsv", "--baseline", "bm25.run").stdout.decode()
    assert "bm25.run -> worse.run" in shown
    assert "give --dataset or --qrels" in sentence(lsr(*asked))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["worse.run", "nothing.run", "--dataset", "fruit"], "there is no file 'nothing.run'"),
        (["worse.run", "--dataset", "fruit"], "nothing to compare"),
        (["bm25", "worse.run", "--qrels", "fruit/qrels/test.tsv"], "give --dataset"),
        (["worse.run", "worse.run", "--dataset", "fruit"], "give each once"),
        (
            ["worse.run", "bm25", "--dataset", "fruit", "--baseline", "bm52"],
            "no system 'bm52' to compare with; there are worse.run, bm25",
        ),
        (["worse.run", "bm25", "--dataset", "fruit", "--measure", "nDGC"], "unknown measures"),
        (["a", "b", "--dataset", "fruit", "--qrels", "x"], "leave out --qrels"),
    ],
)
def test_what_can_not_be_compared_is_said_in_a_sentence(lsr, fruit, words, said):
    done = lsr("eval", "compare", *words)
    assert done.returncode == 2
    assert said in sentence(done)
