"""Pools against sets, and the file of judgements as other readers see it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.pooling import JudgementFile, pool
from lsr.corpus.qrels import read_qrels
from lsr.errors import InputError

RUNS = st.lists(
    st.dictionaries(
        st.sampled_from(["q1", "q2"]),
        st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=6).map(
            lambda documents: [(document, -place) for place, document in enumerate(documents)]
        ),
    ),
    min_size=1,
    max_size=3,
)


@given(RUNS, st.integers(1, 4))
def test_a_pool_has_the_first_of_each_ranking_once(runs, depth):
    found = pool(runs, ["q2", "q1", "q3"], depth)
    for query in ("q1", "q2", "q3"):
        expected = {document for run in runs for document, _ in run.get(query, [])[:depth]}
        assert sorted(found.get(query, [])) == sorted(expected)
    assert list(found) == [query for query in ("q2", "q1") if query in found]
    # Neither the order of the systems nor what else is pooled tells anything.
    assert found == pool(runs[::-1], ["q2", "q1", "q3"], depth)


@pytest.mark.parametrize("name", ["test.tsv", "my.qrels"])
def test_judgements_are_in_the_file_after_each_answer(tmp_path, name):
    path = tmp_path / "qrels" / name
    file = JudgementFile(path)
    file.judge("q1", "d1", 2)
    assert read_qrels(path) == {"q1": {"d1": 2}}
    file.judge("q1", "d2", 0)
    file.judge("q2", "d1", 3)
    file.judge("q1", "d1", 1)
    file.take_back("q2", "d1")
    assert read_qrels(path) == {"q1": {"d1": 1, "d2": 0}} == JudgementFile(path).qrels
    file.take_back("q1", "d1")
    file.take_back("q1", "d2")
    assert len(JudgementFile(path)) == 0


def test_ids_that_the_file_can_not_hold_are_refused_before_the_work(tmp_path):
    JudgementFile(tmp_path / "a.tsv").check_ids({"q 1": ["a b"]})
    with pytest.raises(InputError, match="tab"):
        JudgementFile(tmp_path / "a.tsv").check_ids({"q1": ["a\tb"]})
    with pytest.raises(InputError, match="white space"):
        JudgementFile(tmp_path / "a.qrels").check_ids({"q1": ["a b"]})
