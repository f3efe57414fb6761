"""The fusion of a search that names none."""

import pytest

from index.collection.field import Field
from index.search.default_fusion import default_fusion
from index.search.fusion import LinearFusion

DENSE = Field("dense", "dense", "model", "dense-0", 384)


def sparse(name, words=False):
    return Field(name, "sparse", name, f"{name}-0", 100, open=words)


@pytest.mark.parametrize(
    ("fields", "weights"),
    [
        ([sparse("sparse"), DENSE], {"sparse": 1, "dense": 1.75}),
        ([DENSE, sparse("bm25")], {"bm25": 1, "dense": 1.75}),
        ([sparse("sparse"), sparse("bm25")], {"sparse": 1 / 1.2, "bm25": 0.2 / 1.2}),
        ([sparse("sparse", words=True), sparse("bm25")], {"sparse": 1 / 1.1, "bm25": 0.1 / 1.1}),
        (
            [sparse("sparse", words=True), sparse("bm25"), DENSE],
            {"sparse": 1 / 1.1, "bm25": 0.1 / 1.1, "dense": 1.75},
        ),
    ],
)
def test_sparse_fields_count_one_together_and_a_dense_one_more(fields, weights):
    fusion = default_fusion(fields)
    assert isinstance(fusion, LinearFusion)
    assert (fusion.norm, fusion.missing) == ("max", "minimum")
    assert fusion.weights == pytest.approx(weights)
