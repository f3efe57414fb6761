"""Effectiveness over Qdrant's engine is that of ``native`` for exact fields."""

import dataclasses
from itertools import islice

import pytest

from eval.datasets import load_dataset
from eval.experiment import evaluate
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from index.qdrant.address import QdrantAddress
from index.qdrant.collection import QdrantCollection
from index.qdrant.edge_port import EdgePort
from index.qdrant.pushing import push
from index.search.config import SearchConfig
from lsr.encoders.packaged import DEFAULT_ENCODER

pytestmark = pytest.mark.assets

MEASURES = ["nDCG@10", "R@100"]
# Documents and queries in the everyday test: those that are judged, and others.
DOCUMENTS, QUERIES = 500, 40


def part_of(dataset):
    """The first queries of a dataset, what is relevant to them, and the first other documents."""
    queries = dataset.queries[:QUERIES]
    wanted = {document for query in queries for document in dataset.qrels[query.id]}
    items = list(dataset.corpus())
    judged = [item for item in items if item.document.id in wanted]
    others = (item for item in items if item.document.id not in wanted)
    kept = [*judged, *islice(others, DOCUMENTS - len(judged))]
    qrels = {query.id: dataset.qrels[query.id] for query in queries}
    return dataclasses.replace(dataset, corpus=lambda: kept, queries=queries, qrels=qrels)


def both(dataset, folder, *encoders):
    """A collection of the dataset, and its copy in Qdrant's engine."""
    native = Collection.create(folder / "native", encoder_fields(*encoders))
    index_documents(native, dataset.corpus())
    port = EdgePort(QdrantAddress.parse(f"qdrant-edge://{folder}/copy"))
    push(native, port, "copy")
    return native, QdrantCollection(port)


def compare(dataset, collections, using):
    found = []
    for collection in collections:
        config = SearchConfig(limit=100, using=using, payload=False)
        cell = evaluate(dataset, collection, config, MEASURES)
        found.append({name: round(cell.measures[name], 4) for name in MEASURES})
    assert found[1] == found[0]
    return found[0]["nDCG@10"]


@pytest.mark.parametrize("encoder", ["bm25", DEFAULT_ENCODER])
def test_effectiveness_is_that_of_native(assets, tmp_path, encoder):
    dataset = part_of(load_dataset(str(assets / "data/scifact")))
    collections = both(dataset, tmp_path, encoder)
    assert compare(dataset, collections, "sparse") > 0.6
    collections[1].close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "dense"), [("bm25", None), (DEFAULT_ENCODER, "models/all-MiniLM-L6-v2")]
)
def test_effectiveness_on_the_whole_is_that_of_native(assets, tmp_path, encoder, dense):
    dataset = load_dataset(str(assets / "data/scifact"))
    collections = both(dataset, tmp_path, encoder, dense and str(assets / dense))
    for using in ["sparse"] if dense is None else ["sparse", "dense", "hybrid"]:
        assert compare(dataset, collections, using) > 0.6
    collections[1].close()
