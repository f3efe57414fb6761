"""Measures against hand-written loops."""

import math
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.measures import STANDARD, measure, measure_queries, parse_measures
from lsr.errors import UsageError

queries = st.sampled_from(["q1", "q2", "q3", "Q 4"])
documents = st.sampled_from([f"d{number}" for number in range(15)])
grades = st.integers(0, 3)
qrels_strategy = st.dictionaries(
    queries, st.dictionaries(documents, grades, min_size=1), min_size=1
)
scores = st.sampled_from([0.0, 0.5, 1.0, 1.0 + 1e-9, 2.0, 1e-30, 3e4])
rankings = st.dictionaries(documents, scores).map(
    lambda found: sorted(found.items(), key=lambda item: -item[1])
)
runs = st.dictionaries(queries, rankings)


def ndcg_at_10(ranking, grade):
    def dcg(gains):
        return sum(gain / math.log2(place + 2) for place, gain in enumerate(gains[:10]))

    ideal = dcg(sorted(grade.values(), reverse=True))
    return dcg([grade.get(document, 0) for document in ranking]) / ideal if ideal else 0.0


def recall_at_100(ranking, grade):
    relevant = {document for document, value in grade.items() if value > 0}
    return len(relevant & set(ranking[:100])) / len(relevant) if relevant else 0.0


def mrr_at_10(ranking, grade):
    for place, document in enumerate(ranking[:10], start=1):
        if grade.get(document, 0) > 0:
            return 1 / place
    return 0.0


def map_at_100(ranking, grade):
    relevant = sum(value > 0 for value in grade.values())
    found, total = 0, 0.0
    for place, document in enumerate(ranking[:100], start=1):
        if grade.get(document, 0) > 0:
            found += 1
            total += found / place
    return total / relevant if relevant else 0.0


LOOPS = {
    "nDCG@10": ndcg_at_10,
    "Recall@100": recall_at_100,
    "MRR@10": mrr_at_10,
    "MAP@100": map_at_100,
}


def by_loops(qrels, run):
    """Mean of each standard measure over the judged queries, from rankings in their own order."""
    return {
        name: sum(
            loop([document for document, _ in run.get(query, ())], grade)
            for query, grade in qrels.items()
        )
        / len(qrels)
        for name, loop in LOOPS.items()
    }


@settings(max_examples=150)
@given(qrels_strategy, runs)
def test_measures_are_those_of_the_loops(qrels, run):
    assert measure(qrels, run) == pytest.approx(by_loops(qrels, run), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_cutoffs_hold_for_long_rankings_full_of_ties(seed):
    generator = random.Random(seed)
    pool = [f"d{number}" for number in range(300)]
    qrels = {
        f"q{query}": {document: generator.randint(0, 2) for document in generator.sample(pool, 150)}
        for query in range(5)
    }
    run = {
        query: [(document, 1.0 - place // 50) for place, document in enumerate(order)]
        for query in qrels
        if (order := generator.sample(pool, 200))
    }
    assert measure(qrels, run) == pytest.approx(by_loops(qrels, run), abs=1e-6)


def test_tied_documents_count_in_the_order_served():
    qrels = {"q": {"b": 1}}
    ranks = [
        measure(qrels, {"q": [(name, 1.0) for name in order]}, ["MRR@10"])["MRR@10"]
        for order in ("abc", "bac", "cab")
    ]
    assert ranks == pytest.approx([1 / 2, 1, 1 / 3])


def test_an_empty_run_measures_zero():
    assert measure({"q": {"d": 1}}, {}) == dict.fromkeys(STANDARD, 0.0)


def test_queries_without_judgements_do_not_count():
    qrels, ranking = {"q": {"d": 1}}, [("d", 1.0)]
    assert measure(qrels, {"q": ranking, "other": ranking}) == measure(qrels, {"q": ranking})


def test_measures_are_named_as_they_were_asked_for():
    run = {"q": [("x", 2.0), ("d", 1.0)]}
    found = measure({"q": {"d": 1}}, run, ["RR@10", "MRR@10", "P@5", "R@100", "Recall@100"])
    assert found == {"RR@10": 0.5, "MRR@10": 0.5, "P@5": 0.2, "R@100": 1.0, "Recall@100": 1.0}


def test_unknown_measures_are_all_named():
    with pytest.raises(UsageError) as caught:
        parse_measures(["nDCG@10", "Fame@3", "P@x", "nDCG@-1", "P@5"])
    for name in ("unknown measures: Fame@3", ", P@x (", ", nDCG@-1 ("):
        assert name in str(caught.value)
    assert "P@5 (" not in str(caught.value)


# Settings that measures have, in range and out of it, of the right kind and not.
ODD = [
    "{}", "{}@3", "{}@0", "{}@99999999999", "{}(rel=2)", "{}(rel=0)", "{}(rel=1.5)", "{}(rel='x')",
    "{}(rel=99999999999)@3", "{}(beta=2)", "{}(beta=0.5)", "{}(beta=2)@5", "{}(p=0.5)", "{}(p=2)@3",
    "{}(judged_only=True)@3", "{}(judged_only=1)", "{}(min_rel=1,max_rel=3)@3", "{}(relative=True)",
    "{}(recall=0.5)", "{}(recall=7)", "{}(dcg='exp-log2')@3", "{}(dcg='x')@3", "{}(relative=3)",
    "{}(gains={{1:2}})@3", "{}(T=0,max_rel=2)@3", "{}(alpha=1)@3", "{}(normalize=False)",
    "{}(nope=1)", "{}(cutoff=2)", "{}(rel=1)(rel=2)", "{}(1)", "{}@", "{}*2",
]  # fmt: skip


def every_measure():
    import ir_measures

    return sorted(ir_measures.measures.registry)


@pytest.mark.parametrize("name", every_measure())
def test_every_measure_is_that_of_ir_measures_or_refused(name):
    import ir_measures

    # Its program for ERR takes numbers for queries, and no ids with white space.
    ids = {"1": "Q 4", "2": "q"}
    grades = {"1": {"a": 1, "b": 2, "c": 0}, "2": {"d": 1}}
    ranked = {"1": [("b", 3.0), ("c", 2.0), ("x", 1.0)], "2": [("x", 2.0), ("d", 1.0)]}
    qrels = {ids[query]: {f"the {d}": g for d, g in grades[query].items()} for query in grades}
    run = {ids[query]: [(f"the {d}", s) for d, s in ranked[query]] for query in ranked}
    theirs = (
        [ir_measures.Qrel(q, d, g) for q, found in grades.items() for d, g in found.items()],
        [ir_measures.ScoredDoc(q, d, s) for q, found in ranked.items() for d, s in found],
    )
    for form in ODD:
        asked = form.format(name)
        found, refusal = measured_or_refused(qrels, run, asked)
        if found is None:
            assert "\n" not in refusal
            assert "object at" not in refusal
            continue
        floats = re.sub(r"(beta|p|T|alpha|recall)=(\d+)(?=[,)])", r"\1=\2.0", asked)
        if name == "IPrec":
            floats = re.sub(r"@(\d+)$", r"@\1.0", floats)
        wanted = ir_measures.parse_measure(floats)
        assert found == ir_measures.calc_aggregate([wanted], *theirs)[wanted]
        assert measure_queries(qrels, run, asked).keys() == qrels.keys()


def measured_or_refused(qrels, run, name):
    try:
        return measure(qrels, run, [name])[name], ""
    except UsageError as error:
        return None, str(error)


def test_settings_of_measures_that_are_floats_may_be_whole_numbers():
    qrels, run = {"q": {"a": 1, "b": 1}}, {"q": [("a", 3.0), ("x", 2.0), ("y", 1.0)]}
    found = measure(qrels, run, ["SetF", "SetF(beta=2)", "SetF(beta=2.0)", "ERR@5"])
    # trec_eval's: (1 + beta) P R / (beta P + R), of P = 1/3 and R = 1/2.
    assert found["SetF"] == pytest.approx(2 / 5)
    assert found["SetF(beta=2)"] == found["SetF(beta=2.0)"] == pytest.approx(3 / 7)
    assert found["ERR@5"] == pytest.approx(1 / 16)
    for name, reason in {
        "SetF@5": "unsupported params found: ['cutoff']",
        "P": "it needs cutoff",
        "P@99999999999": "cutoff is 99999999999, allowed is 1 to 1000000",
    }.items():
        with pytest.raises(UsageError, match=re.escape(f"unknown measures: {name} ({reason})")):
            measure(qrels, run, [name])


@settings(max_examples=150)
@given(st.text(max_size=12) | st.from_regex(r"(nDCG|MRR|P|MAP|Recall)[@(=)\w.,'\-]{0,8}"))
def test_any_name_is_a_measure_or_refused(name):
    try:
        measures = parse_measures([name])
    except UsageError:
        return
    assert list(measures) == [name]


@given(qrels_strategy, runs)
def test_the_mean_of_queries_is_the_measure(qrels, run):
    for name in ("nDCG@10", "Recall@100"):
        by_query = measure_queries(qrels, run, name)
        assert by_query.keys() == qrels.keys()
        mean = sum(by_query.values()) / len(by_query)
        assert math.isclose(mean, measure(qrels, run, [name])[name], abs_tol=1e-9)
