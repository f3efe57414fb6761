"""The bench of hybrid search: what it tunes on is what the pipeline serves."""

from contextlib import closing

import pytest
from hybrid_bench.scores import DEPTH, Judged, against_best_single, tuned
from hybrid_bench.systems import TUNED, fused_systems, single_systems

from eval.datasets import Dataset
from eval.experiment import evaluate
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from lsr.corpus.documents import Query
from tests.index.conftest import items

TEXTS = {f"d{n}": f"apple {'plum ' * (n % 4)}{'cherry ' * (n % 3)}banana" for n in range(30)}
SPARSE = {"tiny": "tiny"}


@pytest.fixture
def judged(tmp_path, masked_lm):
    collection = Collection.create(tmp_path / "c", encoder_fields(str(masked_lm), bm25=True))
    index_documents(collection, items(TEXTS))
    queries = [Query("q1", "plum cherry"), Query("q2", "cherry")]
    qrels = {"q1": {"d2": 1, "d5": 2}, "q2": {"d11": 1}}
    dataset = Dataset("fruit", lambda: items(TEXTS), queries, qrels)
    with closing(collection):
        yield Judged(dataset, {"tiny": collection})


def test_a_fusion_of_runs_is_the_pipelines(judged):
    systems = fused_systems(SPARSE, dense=False)
    assert [each.parts for each in systems] == ["tiny+bm25"] * len(systems)
    for system in systems:
        fusion = system.config.fusion
        if fusion is None:
            continue
        scored = judged.score(system)
        assert judged.tuning_score(system, fusion) == pytest.approx(scored.measures["nDCG@10"])
        config = system.config.__class__(using="sparse+bm25", fusion=fusion, limit=DEPTH)
        served = evaluate(judged.dataset, judged.collections["tiny"], config).run
        assert judged.fused(system, fusion) == served


def test_the_tuned_fusion_is_the_best_of_the_grid(judged):
    (system,) = (each for each in fused_systems(SPARSE, dense=False) if each.method == TUNED)
    best = max(judged.tuning_score(system, fusion) for fusion in system.tuned)
    assert judged.tuning_score(system, tuned(system, [judged])) == best


def test_systems_are_tested_against_the_best_single_one(judged):
    systems = [*single_systems(SPARSE, dense=False), *fused_systems(SPARSE, dense=False)]
    scores = {each.name: judged.score(each) for each in systems if not each.tuned}
    p_values = against_best_single(scores, ["bm25", "tiny"])
    assert p_values.keys() == scores.keys() - {"bm25", "tiny"}
    assert all(0 <= p <= 1 for p in p_values.values())
