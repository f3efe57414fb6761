"""Published and known effectiveness, through the indexing and the query path that users have."""

import pytest

from eval.datasets import load_dataset
from eval.experiment import evaluate
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from index.search.config import SearchConfig

pytestmark = pytest.mark.assets

# nDCG@10 x 100 of splade-tiny and of MiniLM by exhaustive float scoring, outside this project.
SPLADE = {"med": 75.9, "scifact": 64.4}
MINILM = {"med": 78.8, "scifact": 64.5}
# Anserini's flat BM25 on BEIR SciFact, as published.
BM25_SCIFACT = 67.9


def build(assets, path, name, *encoders):
    dataset = load_dataset(str(assets / "data" / name))
    collection = Collection.create(path / name, encoder_fields(*encoders))
    report = index_documents(collection, dataset.corpus())
    assert (report.rejected, report.created) == (0, len(collection))
    return dataset, collection


def ndcg(dataset, collection, using):
    config = SearchConfig(limit=100, using=using, payload=False)
    return 100 * evaluate(dataset, collection, config, ["nDCG@10"]).measures["nDCG@10"]


def test_bm25_is_that_of_anserini(assets, tmp_path):
    dataset, collection = build(assets, tmp_path, "scifact", "bm25")
    assert ndcg(dataset, collection, "sparse") == pytest.approx(BM25_SCIFACT, abs=0.5)


def test_splade_has_its_known_effectiveness_on_med(assets, tmp_path):
    dataset, collection = build(assets, tmp_path, "med", str(assets / "models/splade-tiny"))
    assert ndcg(dataset, collection, "sparse") == pytest.approx(SPLADE["med"], abs=0.3)


@pytest.fixture(scope="module", params=["med", "scifact"])
def effectiveness(request, assets, tmp_path_factory):
    """A dataset's name, and nDCG@10 of a learned sparse field, a dense field and their fusion."""
    models = [str(assets / "models" / name) for name in ("splade-tiny", "all-MiniLM-L6-v2")]
    built = build(assets, tmp_path_factory.mktemp("learned"), request.param, *models)
    return request.param, {using: ndcg(*built, using) for using in ("sparse", "dense", "hybrid")}


@pytest.mark.slow
def test_models_have_their_known_effectiveness(effectiveness):
    name, found = effectiveness
    assert found["sparse"] == pytest.approx(SPLADE[name], abs=0.3)
    assert found["dense"] == pytest.approx(MINILM[name], abs=0.5)


@pytest.mark.slow
def test_hybrid_is_above_each_of_its_parts(effectiveness):
    _, found = effectiveness
    assert found["hybrid"] > max(found["sparse"], found["dense"])
