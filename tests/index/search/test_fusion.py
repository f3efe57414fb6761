import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.search.fusion import ReciprocalRankFusion
from lsr.errors import InputError

rankings = st.dictionaries(
    st.sampled_from(["sparse", "dense", "bm25"]),
    st.lists(st.integers(0, 20), unique=True, max_size=12),
    min_size=1,
)


@given(rankings, st.floats(0, 100), st.floats(0, 3))
def test_equals_the_formula(ranked, k, weight):
    weights = {"dense": weight}
    fused = ReciprocalRankFusion(k, weights).fuse(
        {name: [(document, 1.0) for document in ranking] for name, ranking in ranked.items()}
    )
    expected = {}
    for name, ranking in ranked.items():
        for document in ranking:
            part = weights.get(name, 1.0) / (k + ranking.index(document) + 1)
            expected[document] = expected.get(document, 0.0) + part
    assert dict(fused) == pytest.approx(expected)
    assert fused == sorted(fused, key=lambda item: (-item[1], item[0]))


@pytest.mark.parametrize("k", [-1, float("nan"), float("inf")])
def test_a_bad_constant_is_refused(k):
    with pytest.raises(InputError, match="RRF constant"):
        ReciprocalRankFusion(k)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf"), 1.7e308, 1e7])
def test_a_bad_weight_is_refused(weight):
    with pytest.raises(InputError, match="'dense'"):
        ReciprocalRankFusion(weights={"dense": weight})


def test_no_weights_and_constant_that_are_taken_give_a_score_that_is_not_finite():
    names = [f"r{number}" for number in range(16)]
    fusion = ReciprocalRankFusion(0, dict.fromkeys(names, 1e6))
    ((_, score),) = fusion.fuse({name: [(1, 1.0)] for name in names})
    assert score == 16e6


def test_weights_of_what_is_no_ranking_are_refused_by_name():
    fusion = ReciprocalRankFusion(weights={"sparse": 2.0, "lexical": 5.0})
    with pytest.raises(InputError, match=r"'lexical', which is no ranking .* are: sparse, bm25$"):
        fusion.check_names(["sparse", "bm25"])
    fusion.check_names(["lexical", "sparse", "bm25"])
