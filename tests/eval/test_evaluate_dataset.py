"""A dataset is indexed, or its index reused, and each of its searches gets a row."""

import json
from contextlib import contextmanager, nullcontext

import pytest

from eval.datasets import load_dataset
from eval.experiment import ExperimentProgress, evaluate, evaluate_dataset
from index.collection.collection import Collection
from index.indexing import index_documents
from index.opening import open_or_create, place_of
from index.search.config import SearchConfig
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.errors import EncoderMismatchError, UsageError
from tests.recorded_progress import RecordedProgress


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "fruit"
    (folder / "qrels").mkdir(parents=True)
    texts = {"a": "apple banana", "b": "cherry cherry banana", "c": "plum lemon"}
    rows = [json.dumps({"_id": name, "text": text}) for name, text in texts.items()]
    (folder / "corpus.jsonl").write_text("\n".join([*rows, '{"text": "no id"}']))
    (folder / "queries.jsonl").write_text(
        '{"_id": "q1", "text": "banana"}\n{"_id": "q2", "text": "plum"}\n'
    )
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tb\t1\nq2\tc\t1\n")
    return load_dataset(str(folder))


def comparable(row):
    return row.repeatable() | {"run": row.run}


def test_each_search_gets_the_row_that_it_gets_alone(dataset, tmp_path, masked_lm, dense_model):
    index = tmp_path / "index"
    rows = evaluate_dataset(
        dataset, str(masked_lm), str(dense_model), True, index=index, measures=["P@1"], depth=2
    )
    fused = ["sparse+bm25", "hybrid", "sparse+dense+bm25"]
    assert [row.using for row in rows] == ["sparse", "bm25", "dense", *fused]
    collection = Collection.open(index)
    for row in rows:
        config = SearchConfig(limit=2, using=row.using, payload=False)
        alone = evaluate(dataset, collection, config, ["P@1"])
        assert comparable(row) == comparable(alone) | {"system": row.system}
    (one,) = evaluate_dataset(
        dataset, index=index, searching=SearchConfig(using="sparse+bm25", engine="reference")
    )
    assert (one.using, one.engine) == ("sparse+bm25", "reference")
    again = evaluate_dataset(
        dataset, index=index, searching=SearchConfig(query_encoder=str(masked_lm))
    )
    assert [row.using for row in again] == ["sparse", *fused]


def test_an_index_in_the_cache_is_reused(dataset, tmp_path):
    told = RecordedProgress()
    progress = ExperimentProgress(lambda items, label: nullcontext(told))
    first = evaluate_dataset(dataset, "bm25", progress=progress)
    (folder,) = (tmp_path / "cache").glob("*/eval/*")
    revision = Collection.open(folder).store.revision()
    second = evaluate_dataset(dataset, "bm25", progress=progress)
    assert list(map(comparable, first)) == list(map(comparable, second))
    assert Collection.open(folder).store.revision() == revision
    assert len(told.sentences) == 2
    assert all("corpus.jsonl:4: the document has no id" in each for each in told.sentences)


def test_progress_is_opened_told_and_closed(dataset):
    told = []

    @contextmanager
    def indexing(items, label):
        told.append(label)
        yield RecordedProgress(lambda report: told.append(report.read))
        told.append("end")

    @contextmanager
    def searching(count, label):
        told.append(label)
        yield told.append
        told.append("end")

    evaluate_dataset(dataset, "bm25", progress=ExperimentProgress(indexing, searching))
    assert told == ["indexing fruit", 4, "end", "fruit: searching sparse", 2, "end"]


def test_what_can_not_be_is_refused(dataset, tmp_path):
    with pytest.raises(UsageError, match="unknown measures: Foo@3"):
        evaluate_dataset(dataset, measures=["Foo@3"], index=tmp_path / "index")
    assert not (tmp_path / "index").exists()
    made = open_or_create(tmp_path / "index", "bm25")
    with pytest.raises(EncoderMismatchError, match="was built with"):
        evaluate_dataset(dataset, "bm25,b=1", index=tmp_path / "index")
    index_documents(made, [Item("", n, Document(f"x{n}", "other")) for n in range(9)])
    with pytest.raises(UsageError, match="evaluate in an index of its own"):
        evaluate_dataset(dataset, index=tmp_path / "index")


def test_a_query_without_text_counts_as_nothing_found(dataset, tmp_path):
    folder = tmp_path / "fruit"
    with (folder / "queries.jsonl").open("a") as queries:
        queries.write('{"_id": "q3", "text": " "}\n')
    with (folder / "qrels" / "test.tsv").open("a") as qrels:
        qrels.write("q3\ta\t1\n")
    done = []
    blank = load_dataset(str(folder))
    collection = open_or_create(tmp_path / "index", "bm25")
    index_documents(collection, blank.corpus())
    row = evaluate(blank, collection, SearchConfig(payload=False), ["nDCG@10"], done.append)
    whole = evaluate(dataset, collection, SearchConfig(payload=False), ["nDCG@10"])
    assert row.measures["nDCG@10"] == pytest.approx(whole.measures["nDCG@10"] * 2 / 3)
    assert (row.run["q3"], row.queries, done[-1]) == ([], 3, 3)


def test_an_index_in_qdrant_gets_the_same_row(dataset, tmp_path):
    pytest.importorskip("qdrant_edge")
    places = tmp_path / "index", place_of(f"qdrant-edge://{tmp_path}/there/fruit")
    for _ in range(2):
        (here,), (there,) = (evaluate_dataset(dataset, "bm25", index=place) for place in places)
        assert there.measures == here.measures
        assert (here.engine, there.engine) == ("native", "qdrant")
