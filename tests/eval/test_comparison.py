"""Comparisons of several systems against tests of single pairs."""

import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.comparison import compare_systems, significance_marks
from eval.significance import holm, paired_t_test, randomisation_test
from lsr.errors import UsageError

RANDOM = np.random.default_rng(8)
BASE = RANDOM.random(40)
SYSTEMS = {
    name: {f"q{place}": float(score) for place, score in enumerate(scores)}
    for name, scores in {
        "bm25": BASE,
        "alike": BASE + RANDOM.normal(0, 0.05, 40),
        "better": BASE + RANDOM.normal(0.2, 0.05, 40),
        "worse": BASE - RANDOM.normal(0.2, 0.05, 40),
    }.items()
}


def test_each_pair_is_tested_and_corrected_over_all_of_them():
    found = compare_systems(SYSTEMS, "nDCG@10")
    pairs = list(combinations(SYSTEMS, 2))
    assert [(each.first, each.second) for each in found] == pairs
    t_ps = [paired_t_test(SYSTEMS[a], SYSTEMS[b]).p for a, b in pairs]
    ps = [randomisation_test(SYSTEMS[a], SYSTEMS[b]).p for a, b in pairs]
    assert [each.t_p for each in found] == t_ps
    assert [each.t_p_holm for each in found] == holm(t_ps)
    assert [each.randomisation_p_holm for each in found] == holm(ps)
    for each in found:
        assert each.wins + each.ties + each.losses == each.queries == 40
        assert each.interval.low <= each.difference <= each.interval.high
        assert each.difference == pytest.approx(each.first_mean - each.second_mean)
        assert json.loads(json.dumps(each.to_json()))["significant"] == each.is_significant


def test_against_a_baseline_only_its_pairs_count():
    found = compare_systems(SYSTEMS, "nDCG@10", "bm25")
    assert [(each.first, each.second) for each in found] == [
        ("alike", "bm25"), ("better", "bm25"), ("worse", "bm25"),
    ]  # fmt: skip
    marks = significance_marks(list(SYSTEMS), found, "bm25")
    assert marks.better == {"bm25": "", "alike": "", "better": "+", "worse": "-"}
    assert "Holm over 3 pairs" in marks.legend
    with pytest.raises(UsageError, match="there is no system 'bm26'"):
        compare_systems(SYSTEMS, "nDCG@10", "bm26")


def test_letters_name_the_rows_that_a_row_beats():
    marks = significance_marks(list(SYSTEMS), compare_systems(SYSTEMS, "nDCG@10"))
    assert marks.letters == {"bm25": "a", "alike": "b", "better": "c", "worse": "d"}
    assert marks.better == {"bm25": "d", "alike": "d", "better": "a b d", "worse": ""}


@given(st.integers(2, 30))
def test_many_systems_have_letters_of_their_own(count):
    names = [f"s{place}" for place in range(count)]
    assert len(set(significance_marks(names, []).letters.values())) == count


def test_systems_with_other_queries_are_refused():
    with pytest.raises(UsageError, match="not the same"):
        compare_systems({"a": {"q1": 1.0, "q2": 0.0}, "b": {"q1": 1.0, "q3": 0.0}}, "nDCG@10")
