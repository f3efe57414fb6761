"""Costs against loops over the vectors themselves."""

from dataclasses import replace

import pytest

from eval.costs import over_bm25, query_times, vector_costs
from eval.experiment import evaluate, evaluate_dataset
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from index.search.config import SearchConfig
from lsr.corpus.documents import Query
from lsr.encoders.catalogue import load_encoder
from tests.eval.test_experiment import CONFIG, beir, build


def by_loops(dataset, encoder_name):
    """Mean non-zeros, and the mean number of terms that a query and a document share."""
    encoder = load_encoder(encoder_name)
    documents = [item.document.contents for item in dataset.corpus()]
    stored = encoder.encode_documents(documents)
    texts = [query.text for query in dataset.queries]
    counted = [encoder.statistics(stored)] if encoder_name == "bm25" else []
    asked = [set(row.indices.tolist()) for row in encoder.encode_queries(texts, *counted)]
    found = [set(row.indices.tolist()) for row in stored]
    shared = sum(len(query & document) for query in asked for document in found)
    return {
        "query_nonzeros": sum(map(len, asked)) / len(asked),
        "document_nonzeros": sum(map(len, found)) / len(found),
        "flops": shared / (len(asked) * len(found)),
    }


def test_sizes_are_those_of_loops_over_the_vectors(tmp_path):
    dataset = beir(tmp_path / "tiny")
    collection = build(dataset, tmp_path / "collection")
    costs = vector_costs(collection, dataset.queries, CONFIG)
    bytes_per_document = costs.pop("bytes_per_document")
    assert costs == pytest.approx(by_loops(dataset, "bm25"))
    assert 1 < bytes_per_document < 200
    # Documents of later writes, in memory and in several segments, count too.
    again = Collection.create(tmp_path / "again", encoder_fields("bm25"))
    items = list(dataset.corpus())
    for part in (items[:11], items[11:30], items[30:]):
        index_documents(again, part)
    found = vector_costs(again, dataset.queries, CONFIG)
    assert {name: found[name] for name in costs} == pytest.approx(costs)


def test_fields_add_up_and_dense_ones_are_full(tmp_path, masked_lm, dense_model):
    dataset = beir(tmp_path / "tiny", documents=10, queries=3)
    collection = build(dataset, tmp_path / "c", f"splade:{masked_lm}", str(dense_model), True)

    def costs(using):
        return vector_costs(collection, dataset.queries, SearchConfig(using=using))

    expected = by_loops(dataset, f"splade:{masked_lm}")
    assert {name: costs("sparse")[name] for name in expected} == pytest.approx(expected)
    dense = costs("dense")
    dimension = dense["query_nonzeros"]
    assert dense == {
        "query_nonzeros": dimension,
        "document_nonzeros": dimension,
        "flops": dimension,
        "bytes_per_document": 4 * dimension,
    }
    parts = [costs("sparse"), costs("bm25"), dense]
    fused = costs("sparse+bm25+dense")
    assert fused == pytest.approx({name: sum(each[name] for each in parts) for name in dense})


def test_queries_are_timed_alone_and_by_stage(tmp_path):
    dataset = beir(tmp_path / "tiny", queries=12)
    collection = build(dataset, tmp_path / "collection")
    blank = [Query("blank", " "), *dataset.queries]
    times = query_times(collection, blank, CONFIG)
    assert times["timed_queries"] == 12
    assert 0 < times["ms_p50"] <= times["ms_p99"]
    assert {"ms_encode", "ms_rank"} <= times.keys()
    assert query_times(collection, [Query("blank", "")], CONFIG) == {}
    assert vector_costs(collection, [Query("blank", "")], CONFIG) == {}


def test_rows_have_costs_and_remember_how_fast_their_index_was_made(tmp_path, monkeypatch):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))
    dataset = beir(tmp_path / "tiny", queries=5)
    (row,) = evaluate_dataset(dataset, "bm25")
    assert row.costs["documents_per_second"] > 0
    assert {"ms_p50", "flops", "bytes_per_document"} <= row.costs.keys()
    (again,) = evaluate_dataset(dataset, "bm25")
    assert again.costs["documents_per_second"] == row.costs["documents_per_second"]
    (mine,) = evaluate_dataset(dataset, "bm25", index=tmp_path / "mine")
    assert mine.costs["documents_per_second"] > 0
    (mine,) = evaluate_dataset(dataset, "bm25", index=tmp_path / "mine")
    assert "documents_per_second" not in mine.costs


def test_latency_is_compared_with_bm25_of_the_same_data_set(tmp_path):
    dataset = beir(tmp_path / "tiny", queries=2)
    cell = evaluate(dataset, build(dataset, tmp_path / "collection"), CONFIG)
    rows = [
        replace(cell, dataset=name, encoder=encoder, costs={"ms_p50": ms})
        for name, encoder, ms in [
            ("a", "splade", 3.0), ("a", "bm25", 1.5), ("a", "bm25+splade", 9.0),
            ("b", "splade", 2.0), ("c", "bm25,k1=1.2", 4.0), ("c", "splade", 2.0),
        ]
    ]  # fmt: skip
    found = [each.costs.get("latency_over_bm25") for each in over_bm25(rows)]
    assert found == [2.0, 1.0, 6.0, None, 1.0, 0.5]
