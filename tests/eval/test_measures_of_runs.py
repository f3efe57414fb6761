"""Measures against ir_measures and pytrec_eval, on runs as files of strangers have them."""

import ir_measures
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.measures import measure_queries, measured
from eval.run import read_run

queries = st.sampled_from(["q1", "q2", "q3", "10", "9"])
documents = st.sampled_from([*(f"d{number}" for number in range(12)), "10", "9", "é", "Z"])
grades = st.integers(-2, 3)
qrels_strategy = st.dictionaries(
    queries, st.dictionaries(documents, grades, min_size=1, max_size=12), min_size=1
)
# Equal, equal in 32 bits alone, beyond them, and in other orders as text than as numbers.
scores = st.sampled_from([0.0, -0.0, 1.0, 1.0 + 1e-9, 1.0 - 1e-9, 2.5, 10.0, 9.0, -3.0, 1e39, 2e39])
runs = st.dictionaries(queries, st.dictionaries(documents, scores, max_size=12))
PYTREC_EVAL = {
    "nDCG@10": "ndcg_cut_10",
    "nDCG": "ndcg",
    "MAP": "map",
    "MAP@5": "map_cut_5",
    "MRR": "recip_rank",
    "Recall@5": "recall_5",
    "Recall@100": "recall_100",
    "Recall@1000": "recall_1000",
    "P@5": "P_5",
    "Success@5": "success_5",
    "Rprec": "Rprec",
}
FREE_OF_TIES = ["MRR@10", "Judged@5"]
TOGETHER = ["nDCG@3", "P(rel=2)@3", "nDCG(gains={1:5,2:1})@3", "SetF", "AP(rel=3)", "RR@3", "R@5"]
OF_JUDGED = ("Judged@5",)


def above_zero(qrels):
    """What is below is not relevant either, but pytrec_eval would write beyond its arrays."""
    return {
        query: {document: max(grade, 0) for document, grade in grades.items()}
        for query, grades in qrels.items()
    }


def read_back(folder, run):
    """The run as it is read from a file in any order, with the ranks that its writer liked."""
    path = folder / "some.run"
    path.write_text(
        "".join(
            f"{query} Q0 {document} 1 {score!r} them\n"
            for query, ranking in run.items()
            for document, score in ranking.items()
        )
    )
    return read_run(path)


@settings(max_examples=150, deadline=None)
@given(qrels_strategy, runs)
def test_measures_of_a_file_are_those_of_pytrec_eval(tmp_path_factory, qrels, run):
    found = measured(qrels, read_back(tmp_path_factory.getbasetemp(), run), list(PYTREC_EVAL))
    theirs = pytrec_eval.RelevanceEvaluator(above_zero(qrels), set(PYTREC_EVAL.values())).evaluate(
        {query: ranking for query, ranking in run.items() if ranking}
    )
    for name, key in PYTREC_EVAL.items():
        expected = {query: theirs.get(query, {}).get(key, 0.0) for query in qrels}
        assert found.per_query[name] == pytest.approx(expected, abs=1e-9), name
        assert found.means[name] == pytest.approx(sum(expected.values()) / len(qrels), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(qrels_strategy, runs)
def test_measures_are_those_of_ir_measures(tmp_path_factory, qrels, run):
    read = read_back(tmp_path_factory.getbasetemp(), run)
    untied = {
        query: {document: float(-place) for place, (document, _) in enumerate(ranking)}
        for query, ranking in read.items()
        if ranking
    }
    named = {query: str(place) for place, query in enumerate(qrels)}
    judged = {named[query]: grades for query, grades in qrels.items()}
    scored = {named[query]: ranking for query, ranking in untied.items() if query in named}
    names = [*PYTREC_EVAL, *FREE_OF_TIES, *TOGETHER]
    found = measured(qrels, read, names)
    for name in names:
        wanted = ir_measures.parse_measure(name)
        # One by one: together, it would compute some with the settings of others.
        known = judged if name in OF_JUDGED else above_zero(judged)
        expected = ir_measures.calc([wanted], known, scored)
        mean = expected.aggregated[wanted]
        assert found.means[name] == pytest.approx(mean, abs=1e-9), name
        values = {each.query_id: each.value for each in expected.per_query}
        for query, value in found.per_query[name].items():
            assert value == pytest.approx(values.get(named[query], 0.0), abs=1e-9), name


@settings(max_examples=40, deadline=None)
@given(qrels_strategy, runs, st.sampled_from([1, 2, 0.5]), st.integers(1, 12))
def test_f_and_hole_are_made_of_ir_measures(tmp_path_factory, qrels, run, beta, cutoff):
    read = read_back(tmp_path_factory.getbasetemp(), run)
    f, hole = f"F{beta}@{cutoff}", f"hole@{cutoff}"
    precision, recall = (measure_queries(qrels, read, f"{each}@{cutoff}") for each in ("P", "R"))
    expected = {}
    for query, p in precision.items():
        below = beta**2 * p + recall[query]
        expected[query] = (1 + beta**2) * p * recall[query] / below if below else 0
    assert measure_queries(qrels, read, f) == pytest.approx(expected)
    expected = {
        query: sum(document not in judged for document, _ in first) / len(first) if first else 0
        for query, judged in qrels.items()
        if (first := read.get(query, [])[:cutoff]) or not first
    }
    assert measure_queries(qrels, read, hole) == pytest.approx(expected)


def test_grades_below_zero_are_no_judgements_of_bpref_as_trec_eval_has_it():
    qrels = {"q": {"a": -1, "b": 1, "c": 0}, "p": {"a": -2}}
    run = {"q": [("a", 2.0), ("b", 1.0)], "p": [("a", 1.0)]}
    found = measured(qrels, run, ["bpref", "hole@1", "nDCG@2"])
    assert found.per_query["bpref"] == {"q": 1.0, "p": 0.0}
    assert found.per_query["hole@1"] == {"q": 0.0, "p": 0.0}
    assert found.means["nDCG@2"] == pytest.approx(0.6309297535714575 / 2)


@pytest.mark.parametrize(
    ("spellings", "name"),
    [
        ("ndcg_cut_10 NDCG@10 ndcg@10 ndcg_at_10 nDCG_10", "nDCG@10"),
        ("recall_100 Recall@100 R@100 recall_at_100 r@100", "R@100"),
        ("map MAP ap", "AP"),
        ("map_cut_100 map@100 map_at_100", "AP@100"),
        ("recip_rank MRR mrr rr", "RR"),
        ("mrr@10 mrr_at_10 RR@10", "RR@10"),
        ("P_5 precision@5 p@5 precision_at_5 Precision@5", "P@5"),
        ("success_5 Success@5 success@5 hit_rate@5", "Success@5"),
        ("Rprec R-Prec rprec", "Rprec"),
        ("set_recall set_R", "SetR"),
        ("num_rel_ret", "NumRelRet"),
        ("iprec_at_recall_0.10", "IPrec@0.1"),
        ("ndcg(judged_only=True)@3", "nDCG(judged_only=True)@3"),
        ("F2@10 f2@10 F2.0@10", "F2@10"),
        ("hole@10 Hole@10 hole_at_10 HOLE_10", "hole@10"),
    ],
)
def test_measures_are_known_by_the_names_that_others_give_them(spellings, name):
    qrels = {"q": {"a": 2, "b": 1, "c": 0, "e": 1}, "p": {"a": 1}}
    run = {"q": [("x", 4.0), ("b", 3.0), ("y", 2.0), ("c", 1.0)], "p": [("a", 2.0), ("z", 1.0)]}
    expected = measured(qrels, run, [name])
    for spelling in spellings.split():
        found = measured(qrels, run, [spelling])
        assert found.means[spelling] == expected.means[name]
        assert found.per_query[spelling] == expected.per_query[name]
