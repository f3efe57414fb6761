"""Systems of runs and of results, and the queries on which two of them differ."""

import json

import pytest

from eval.cell import Cell, Provenance
from eval.compared import (
    Judgements,
    System,
    is_file_of_results,
    systems_in,
    with_distinct_names,
)
from eval.measures import measure_queries
from eval.query_changes import changed_queries
from eval.run import write_run
from lsr.errors import NotFoundError, UsageError

QRELS = {"q1": {"d1": 1, "d2": 2}, "q2": {"d3": 1}, "q3": {"d4": 1, "d9": 0}}
JUDGED = Judgements("tiny", QRELS, {"q1": "one", "q2": "two", "q3": "three"})
FIRST = {
    "q1": [("d1", 3.0), ("d2", 2.0)],
    "q2": [("d9", 1.0), ("d3", 0.5)],
    "q3": [("d4", 1.0)],
}
SECOND = {"q1": [("d2", 3.0), ("d1", 2.0)], "q2": [("d9", 1.0)], "q3": [("d4", 9.0), ("d9", 1)]}


def cell(encoder="bm25", dataset="tiny", using="sparse", **parts):
    provenance = Provenance({"sparse": "f"}, "a/b", "native", "auto", {"lsr": "0"})
    return Cell(dataset, encoder, using, "native", 10, 3, {"nDCG@10": 0.5}, provenance, **parts)


def system(name, run):
    return System(name, "tiny", measure_queries(QRELS, run, "nDCG@10"), run)


def test_a_run_is_scored_by_the_judgements(tmp_path):
    write_run(tmp_path / "a.run", FIRST)
    [found] = systems_in(str(tmp_path / "a.run"), JUDGED, "nDCG@10")
    assert found.scores == measure_queries(QRELS, FIRST, "nDCG@10")
    assert found.dataset == "tiny"
    with pytest.raises(UsageError, match="give --dataset or --qrels"):
        systems_in(str(tmp_path / "a.run"), None, "nDCG@10")


def test_the_own_id_of_a_query_does_not_count_where_it_should_not(tmp_path):
    write_run(tmp_path / "a.run", {"q1": [("q1", 5.0), ("d1", 3.0)]})
    own = Judgements("arguana", {"q1": {"d1": 1}}, drops_self=True)
    [found] = systems_in(str(tmp_path / "a.run"), own, "nDCG@10")
    assert found.scores == {"q1": 1.0}
    assert found.run == {"q1": [("d1", 3.0)]}


def test_results_have_their_systems_and_say_what_they_lack(tmp_path):
    values = {"nDCG@10": {"q1": 0.5, "q2": 1.0}}
    (tmp_path / "one.json").write_text(json.dumps(cell(per_query=values).repeatable()))
    [found] = systems_in(str(tmp_path / "one.json"), None, "nDCG@10")
    assert (found.name, found.dataset, found.scores) == ("bm25", "tiny", values["nDCG@10"])
    with pytest.raises(UsageError, match=r"no P@5 of each query of tiny; it has nDCG@10"):
        systems_in(str(tmp_path / "one.json"), None, "P@5")
    write_run(tmp_path / "one.run", FIRST)
    [measured] = systems_in(str(tmp_path / "one.json"), JUDGED, "P@5")
    assert measured.scores == measure_queries(QRELS, FIRST, "P@5")
    with pytest.raises(UsageError, match=r"no result of the data set 'other'; it has tiny"):
        systems_in(str(tmp_path / "one.json"), Judgements("other", QRELS), "nDCG@10")


def test_what_is_named_as_a_file_must_be_there(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.json").write_text("{}")
    assert is_file_of_results(str(tmp_path / "out"))
    assert not is_file_of_results(str(tmp_path / "model"))
    assert not is_file_of_results("bm25")
    with pytest.raises(NotFoundError, match="there is no file"):
        is_file_of_results(str(tmp_path / "missing.run"))


def test_systems_of_one_name_are_told_apart_by_where_they_came_from():
    one, other = system("bm25", FIRST), system("bm25", SECOND)
    found = with_distinct_names([("old", [one]), ("new", [other, system("x", FIRST)])])
    assert [each.name for each in found["tiny"]] == ["old: bm25", "new: bm25", "x"]
    with pytest.raises(UsageError, match="two systems 'old: bm25'"):
        with_distinct_names([("old", [one]), ("old", [other])])


def test_the_queries_that_changed_most_come_first_with_both_rankings():
    first, second = system("a", FIRST), system("b", SECOND)
    changes = changed_queries(first, second, JUDGED, 5, 1)
    gains = {query: second.scores[query] - first.scores[query] for query in QRELS}
    assert [each.query for each in changes] == ["q2", "q1"]
    assert [each.difference for each in changes] == [gains["q2"], gains["q1"]]
    assert [(hit.id, hit.is_relevant) for hit in changes[1].first_hits] == [("d1", True)]
    assert [(hit.id, hit.grade) for hit in changes[1].second_hits] == [("d2", 2)]
    assert [(hit.id, hit.grade) for hit in changes[0].first_hits] == [("d9", None)]
    assert changes[0].text == "two"
    assert changed_queries(first, first, JUDGED, 5, 3) == []
    assert changed_queries(first, second, None, 1, 3)[0].first_hits[1].grade is None
    json.dumps([each.to_json() for each in changes], allow_nan=False)
