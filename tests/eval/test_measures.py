"""Measures against hand-written loops."""

import math
import random

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
    assert "unknown measures: Fame@3, P@x, nDCG@-1; write them" in str(caught.value)


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
