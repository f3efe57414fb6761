import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.search.fusion import CombMnz, LinearFusion, ReciprocalRankFusion
from index.search.fusion_text import parse_fusion
from index.search.norms import NORMS
from lsr.errors import InputError, UsageError

NAMES = ["sparse", "dense", "bm25"]
# Few distinct ones, so that ties are common; some at the ends of what a score may be.
scores = st.sampled_from([0.0, 1.0, 2.5, -1.0, 0.1, 17.25, -3e38, 3e38, 1e-38])
rankings = st.dictionaries(
    st.sampled_from(NAMES),
    st.dictionaries(st.integers(0, 20), scores, max_size=12).map(
        lambda found: sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ),
    min_size=1,
)
weights = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 3))
norms = st.sampled_from(list(NORMS))


def plain_norm(name, given):
    """A norm as its formula says, score by score."""
    n, mean = len(given), math.fsum(given) / len(given)
    low, high, same = min(given), max(given), min(given) == max(given)
    squares = math.fsum((s - mean) ** 2 for s in given)
    if name == "none":
        return list(given)
    if name == "max":
        largest = max(abs(s) for s in given)
        return [s / largest if largest else 0.0 for s in given]
    if name == "min-max":
        return [1.0 if same else (s - low) / (high - low) for s in given]
    if name == "z-score":
        return [0.0 if same else (s - mean) / math.sqrt(squares / n) for s in given]
    if name == "dbsf":
        if same:
            return [0.5] * n
        three = 3 * math.sqrt(squares / (n - 1))
        return [(s - (mean - three)) / ((mean + three) - (mean - three)) for s in given]
    return [1 - place / n for place in range(n)]


def in_order(fused):
    return fused == sorted(fused, key=lambda item: (-item[1], item[0]))


@given(rankings, st.floats(0, 100), weights)
def test_rrf_equals_a_loop_over_all_documents(ranked, k, weight):
    fused = ReciprocalRankFusion(k, weight).fuse(ranked)
    expected = {}
    for name, ranking in ranked.items():
        for rank, (document, _) in enumerate(ranking, start=1):
            part = weight.get(name, 1.0) / (k + rank)
            expected[document] = expected.get(document, 0.0) + part
    assert dict(fused) == pytest.approx(expected)
    assert in_order(fused)


@given(
    rankings,
    weights,
    norms | st.dictionaries(st.sampled_from(NAMES), norms),
    st.sampled_from(["minimum", "zero"]),
)
def test_linear_fusion_equals_a_loop_over_all_documents(ranked, weight, norm, missing):
    fused = LinearFusion(weight, norm, missing).fuse(ranked)
    expected = dict.fromkeys((d for ranking in ranked.values() for d, _ in ranking), 0.0)
    size = 1.0
    for name, ranking in ranked.items():
        if not ranking:
            continue
        chosen = norm if isinstance(norm, str) else norm.get(name, "min-max")
        normed = plain_norm(chosen, [score for _, score in ranking])
        of = dict(zip((document for document, _ in ranking), normed, strict=True))
        size = max(size, *map(abs, normed))
        for document in expected:
            other = min(normed) if missing == "minimum" else 0.0
            expected[document] += weight.get(name, 1.0) * of.get(document, other)
    assert dict(fused) == pytest.approx(expected, abs=1e-9 * size)
    assert in_order(fused)


@given(rankings, weights, norms)
def test_combmnz_equals_a_loop_over_all_documents(ranked, weight, norm):
    fused = CombMnz(weight, norm).fuse(ranked)
    expected, found, size = {}, {}, 1.0
    for name, ranking in ranked.items():
        normed = plain_norm(norm, [score for _, score in ranking]) if ranking else []
        size = max(size, *map(abs, normed), 1.0)
        for (document, _), score in zip(ranking, normed, strict=True):
            expected[document] = expected.get(document, 0.0) + weight.get(name, 1.0) * score
            found[document] = found.get(document, 0) + 1
    expected = {document: found[document] * score for document, score in expected.items()}
    assert dict(fused) == pytest.approx(expected, abs=1e-9 * size)
    assert in_order(fused)


@given(norms, st.lists(scores, min_size=1, max_size=12))
def test_norms_are_finite_and_keep_the_order(norm, given):
    given = np.sort(np.array(given))[::-1]
    normed = NORMS[norm](given)
    assert np.isfinite(normed).all()
    assert (np.diff(normed) <= 0).all()


@pytest.mark.parametrize("k", [-1, float("nan"), float("inf")])
def test_a_bad_constant_is_refused(k):
    with pytest.raises(InputError, match="RRF constant"):
        ReciprocalRankFusion(k)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf"), 1.7e308, 1e7])
@pytest.mark.parametrize("fusion", [ReciprocalRankFusion, LinearFusion, CombMnz])
def test_a_bad_weight_is_refused(fusion, weight):
    with pytest.raises(InputError, match="'dense'"):
        fusion(weights={"dense": weight})


@pytest.mark.parametrize("norm", ["", "minmax", {"dense": "l2"}])
@pytest.mark.parametrize("fusion", [LinearFusion, CombMnz])
def test_a_norm_that_is_none_is_refused(fusion, norm):
    with pytest.raises(InputError, match="allowed are none, max, min-max, z-score, dbsf, rank"):
        fusion(norm=norm)


def test_what_a_missing_document_gets_is_one_of_three():
    with pytest.raises(InputError, match="'least'; allowed are minimum, zero, exact"):
        LinearFusion(missing="least")


def test_no_weights_and_constant_that_are_taken_give_a_score_that_is_not_finite():
    names = [f"r{number}" for number in range(16)]
    fusion = ReciprocalRankFusion(0, dict.fromkeys(names, 1e6))
    ((_, score),) = fusion.fuse({name: [(1, 1.0)] for name in names})
    assert score == 16e6


@pytest.mark.parametrize("fusion", [ReciprocalRankFusion, LinearFusion, CombMnz])
def test_weights_of_what_is_no_ranking_are_refused_by_name(fusion):
    given = fusion(weights={"sparse": 2.0, "lexical": 5.0})
    with pytest.raises(InputError, match=r"'lexical', which is no ranking .* are: sparse, bm25$"):
        given.check_names(["sparse", "bm25"])
    given.check_names(["lexical", "sparse", "bm25"])


@pytest.mark.parametrize("fusion", [LinearFusion, CombMnz])
def test_norms_of_what_is_no_ranking_are_refused_by_name(fusion):
    with pytest.raises(InputError, match=r"norms name 'lexical', .* there are: sparse, bm25$"):
        fusion(norm={"lexical": "max"}).check_names(["sparse", "bm25"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rrf", (ReciprocalRankFusion(), None)),
        ("rrf,k=10,sparse=2", (ReciprocalRankFusion(10, {"sparse": 2.0}), None)),
        ("linear, norm=max ,depth=7", (LinearFusion(norm="max"), 7)),
        (
            "linear,norm.dense=none,norm.bm25=rank,missing=exact,dense=0.5",
            (LinearFusion({"dense": 0.5}, {"dense": "none", "bm25": "rank"}, "exact"), None),
        ),
        ("combmnz,norm=dbsf,bm25=0", (CombMnz({"bm25": 0.0}, "dbsf"), None)),
        ("default,depth=50", (None, 50)),
    ],
)
def test_the_text_form(text, expected):
    assert parse_fusion(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no fusion; write one of default, rrf, linear, combmnz"),
        ("sum", "no fusion"),
        ("linear,norm", "no fusion"),
        ("linear,sparse=1,sparse=2", "each once"),
        ("linear,nrom=max", "nrom=max in the fusion linear is no number; settings are norm"),
        ("rrf,k=many", "k=many in the fusion rrf is no number"),
        ("rrf,depth=1.5", "depth of the fusion is '1.5'"),
        ("linear,norm=max,norm.dense=none", "one for all"),
        ("default,sparse=2", "takes nothing but depth"),
    ],
)
def test_a_text_that_is_no_fusion_is_refused(text, told):
    with pytest.raises(UsageError, match=told):
        parse_fusion(text)
