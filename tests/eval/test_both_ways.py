"""Evaluation the other way round: judgements inverted by hand, and measures by ir_measures."""

import ir_measures
import pytest

from eval.both_ways import both_ways, reverse
from eval.datasets import load_dataset
from eval.results import read_table
from eval.suite import Suite, Systems, load_suite, run_suite
from lsr.errors import InputError, UsageError
from tests.eval.small_beir import write_beir, write_rows


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))


def by_hand(folder):
    (folder / "qrels").mkdir(parents=True)
    documents = {"d1": "wing flow", "d2": "heat", "d3": "the wing", "d4": "unjudged"}
    write_rows(
        folder / "corpus.jsonl",
        [{"_id": name, "title": "T", "text": text} for name, text in documents.items()],
    )
    topics = {"q1": "wing", "q2": "flow heat", "q3": "nothing", "q4": "not judged"}
    write_rows(folder / "queries.jsonl", [{"_id": n, "text": t} for n, t in topics.items()])
    judged = ["q1\td1\t2", "q1\td2\t0", "q2\td1\t1", "q2\td2\t0", "q3\td3\t1", "q3\tgone\t1"]
    (folder / "qrels/test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]))
    return load_dataset(str(folder))


def test_judgements_and_texts_change_places(tmp_path):
    turned = reverse(by_hand(tmp_path / "x"))
    assert turned.name == "x reversed"
    assert turned.qrels == {"d1": {"q1": 2, "q2": 1}, "d3": {"q3": 1}}
    assert [(each.id, each.text) for each in turned.queries] == [
        ("d1", "T wing flow"),
        ("d3", "T the wing"),
    ]
    assert [(item.document.id, item.document.contents) for item in turned.corpus()] == [
        ("q1", "wing"),
        ("q2", "flow heat"),
        ("q3", "nothing"),
    ]
    assert list(turned.caveats) == [
        "of the judged documents, left out are 1 that no topic was judged to be answered by and 1 "
        "that the corpus lacks"
    ]
    again = reverse(turned)
    assert again.qrels == {"q1": {"d1": 2}, "q2": {"d1": 1}, "q3": {"d3": 1}}
    assert again.caveats == []


def test_measures_are_those_of_ir_measures(tmp_path):
    folders = [str(write_beir(tmp_path / name, seed)) for seed, name in enumerate("ab")]
    suite = both_ways(load_suite(folders))
    assert list(suite.datasets) == ["a", "b", "a reversed", "b reversed"]
    measures = ("nDCG@10", "P@1", "R@5")
    results = run_suite(suite, Systems(("bm25",), measures=measures), tmp_path / "out")
    for cell in results:
        dataset = suite.datasets[cell.dataset]
        # By rank, as ir_measures has an order of its own for equal scores.
        run = {
            name: {each: -float(rank) for rank, (each, _) in enumerate(ranking)}
            for name, ranking in cell.run.items()
        }
        parsed = [ir_measures.parse_measure(name) for name in measures]
        expected = ir_measures.calc_aggregate(parsed, dataset.qrels, run)
        for measure in parsed:
            assert cell.measures[str(measure)] == pytest.approx(expected[measure], abs=1e-9)
    turned = results[2]
    assert (turned.queries, turned.documents) == (len(suite.datasets["a reversed"].queries), 8)
    assert any("left out" in each for each in turned.caveats)
    averages = {each.dataset: each for each in results.averages()}
    assert list(averages) == ["average", "average reversed"]
    for name, place in (("average", 0), ("average reversed", 2)):
        mean = (results[place].measures["P@1"] + results[place + 1].measures["P@1"]) / 2
        assert averages[name].measures["P@1"] == pytest.approx(mean)
    read = read_table(tmp_path / "out")
    assert (read.groups, [each.dataset for each in read.averages()]) == ({}, list(averages))


def test_what_can_not_be_turned_round_is_said(tmp_path):
    dataset = by_hand(tmp_path / "x")
    with pytest.raises(UsageError, match="'x reversed' has the name of a reversed one"):
        both_ways(Suite({"x": dataset, "x reversed": dataset}))
    (tmp_path / "x/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t0\n")
    with pytest.raises(InputError, match="nothing to ask the other way"):
        reverse(load_dataset(str(tmp_path / "x")))
