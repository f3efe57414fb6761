"""Encoders under MTEB's own runner, on tasks made here."""

import logging

import numpy as np
import pytest

from eval.datasets import Dataset, load_dataset
from eval.experiment import evaluate_dataset
from index.search.config import SearchConfig
from lsr.corpus.documents import Document, Query
from lsr.corpus.items import given_items
from lsr.encoders.catalogue import load_encoder
from lsr.errors import InputError, NotFoundError, UsageError

DOCUMENTS = [
    Document("owl", "Owls hunt mice at night.", "Owls"),
    Document("cat", "Cats sleep by day and hunt mice, too."),
    Document("q1", "The query itself: who hunts at night?"),
    Document("empty", ""),
    Document("bee 7", "Bees like flowers.", "Bees"),
]
QUERIES = [Query("q1", "who hunts at night?"), Query("q2", "flowers"), Query("q3", "zzqqxx")]
QRELS = {"q1": {"owl": 2, "cat": 1}, "q2": {"bee 7": 1}, "q3": {"cat": 1}}
WORDLESS = "lsr-tiny-v1,words=no"


@pytest.fixture(scope="module", autouse=True)
def imported():
    """Seconds of imports, which only the process that runs this file has to wait for."""
    global mteb, torch, MtebModel, mteb_task, run_mteb
    mteb = pytest.importorskip("mteb", reason="needs pip install '.[mteb]'")
    torch = pytest.importorskip("torch", reason="needs pip install '.[mteb]'")
    from eval.arenas.mteb import MtebModel
    from eval.arenas.mteb_tasks import mteb_task, run_mteb


@pytest.fixture
def dataset():
    return Dataset("pets/small", lambda: list(given_items(DOCUMENTS)), QUERIES, QRELS)


def scores(model, task, tmp_path=None):
    result = mteb.evaluate(
        model, task, cache=None, co2_tracker=False, show_progress_bar=False,
        prediction_folder=tmp_path,
    )  # fmt: skip
    return result.task_results[0].scores["test"][0]


@pytest.mark.parametrize("encoder", ["bm25", "lsr-tiny-v1", WORDLESS])
def test_mtebs_runner_gives_the_numbers_of_lsr_eval(dataset, encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))
    found = scores(MtebModel(encoder), mteb_task(dataset))
    names = {"nDCG@10": "ndcg_at_10", "Recall@5": "recall_at_5", "MAP@100": "map_at_100"}
    config = SearchConfig(using="sparse")
    (cell,) = evaluate_dataset(dataset, encoder, searching=config, measures=list(names))
    for ours, theirs in names.items():
        assert found[theirs] == pytest.approx(cell.measures[ours], abs=1e-5)


def test_a_query_s_own_id_does_not_count_where_it_does_not_for_us(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))
    arguana = Dataset("arguana", dataset.corpus, QUERIES, QRELS)
    found = scores(MtebModel("bm25"), mteb_task(arguana))
    (cell,) = evaluate_dataset(arguana, "bm25", measures=["nDCG@10"])
    assert found["ndcg_at_10"] == pytest.approx(cell.measures["nDCG@10"], abs=1e-5)
    assert found["ndcg_at_10"] != scores(MtebModel("bm25"), mteb_task(dataset))["ndcg_at_10"]


def test_the_order_of_search_survives_and_depth_is_kept(dataset):
    model = MtebModel("bm25")
    with pytest.raises(UsageError, match="call index"):
        model.search([], top_k=3)
    model.index([{"id": str(n), "text": "one two"} for n in (3, 1, 2)])
    found = model.search([{"id": "q", "text": "two"}, {"id": "none", "text": " "}], top_k=2)
    assert list(found["q"]) == ["3", "1"]
    assert found["q"]["3"] > found["q"]["1"]
    assert found["none"] == {}
    with pytest.raises(UsageError, match="allowed is 1 to 10000"):
        model.search([], top_k=10_001)


def test_a_re_ranking_task_ranks_what_it_names():
    model = MtebModel("bm25")
    model.index([{"id": str(n), "title": "", "text": f"owl {'x ' * n}"} for n in range(120)])
    among = [str(n) for n in range(1000, -1, -1) if n > 99]
    found = model.search(
        [{"id": "q", "text": "owl"}, {"id": "r", "text": "owl"}],
        top_k=3,
        top_ranked={"q": ["5", "80", "4", "5", "none"], "r": among},
    )
    assert list(found["q"]) == ["4", "5", "80"]
    assert list(found["r"]) == ["100", "101", "102"]
    with pytest.raises(UsageError, match="names 1001 documents"):
        model.search(
            [{"id": "q", "text": "x"}], top_k=3, top_ranked={"q": [str(n) for n in range(1001)]}
        )


def test_vectors_are_sparse_for_retrieval_and_dense_with_a_warning_elsewhere(dataset, caplog):
    model, encoder = MtebModel(WORDLESS), load_encoder(WORDLESS)
    texts = ["owls hunt mice", "", "bees"]
    expected = encoder.encode_documents(texts).to_scipy().toarray()
    task = mteb_task(dataset).metadata
    batches = [{"text": texts[:2]}, {"text": texts[2:]}]
    found = model.encode(batches, task_metadata=task)
    assert found.is_sparse
    np.testing.assert_array_equal(found.to_dense(), expected)
    queries = model.encode(batches, task_metadata=task, prompt_type=mteb.types.PromptType.query)
    asked = encoder.encode_queries(texts).to_scipy().toarray()
    np.testing.assert_array_equal(queries.to_dense(), asked)
    np.testing.assert_allclose(model.similarity(queries, found), asked @ expected.T, rtol=1e-5)
    pairs = model.similarity_pairwise(queries, found.to_dense())
    np.testing.assert_allclose(pairs, (asked * expected).sum(axis=1), rtol=1e-5)
    assert not caplog.messages
    with caplog.at_level(logging.WARNING):
        dense = model.encode(batches, task_metadata=task.model_copy(update={"type": "STS"}))
    assert not dense.is_sparse
    np.testing.assert_array_equal(dense, expected)
    (said,) = [text for text in caplog.messages if "dense" in text]
    assert "3 texts become vectors of 30522 numbers" in said


def test_folders_are_run_and_results_are_kept(tmp_path):
    folder = tmp_path / "pets"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "a", "title": "", "text": "owls hunt"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "hunting owl"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\n")
    for _ in range(2):
        (row,) = run_mteb(MtebModel("bm25"), [str(folder)], tmp_path / "kept")
        assert (row["task"], row["split"], row["main_score"]) == ("pets", "test", "ndcg_at_10")
        assert row["score"] == row["scores"]["ndcg_at_10"] == 1.0
    assert list((tmp_path / "kept").rglob("pets.json"))
    with pytest.raises(NotFoundError, match="MTEB has no task 'NoSuchTask'"):
        run_mteb(MtebModel("bm25"), ["NoSuchTask"])


def test_what_has_no_fixed_vectors_says_so(dataset):
    for name in ("bm25", "lsr-tiny-v1"):
        with pytest.raises(UsageError, match="words besides its vocabulary"):
            MtebModel(name).encode([], task_metadata=mteb_task(dataset).metadata)
    with pytest.raises(InputError, match="'x' of the task has no text"):
        MtebModel().index([{"id": "x", "image": b""}])


def test_results_are_filed_by_what_changes_them():
    metas = [
        MtebModel("bm25").mteb_model_meta,
        MtebModel("bm25,k1=1.2").mteb_model_meta,
        MtebModel("bm25", passages="off").mteb_model_meta,
        MtebModel("bm25", searching=SearchConfig(engine="reference")).mteb_model_meta,
    ]
    assert len({meta.revision for meta in metas}) == 4
    assert [meta.name for meta in metas[:2]] == ["lsr/bm25", "lsr/bm25-k1=1.2"]
    assert MtebModel("bm25").mteb_model_meta.revision == metas[0].revision
    assert metas[0].model_type == ["sparse"]


@pytest.mark.assets
@pytest.mark.parametrize("name", ["med", pytest.param("scifact", marks=pytest.mark.slow)])
def test_a_whole_collection_through_mtebs_runner(assets, tmp_path, monkeypatch, name):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))
    collection = load_dataset(str(assets / "data" / name), "test")
    found = scores(MtebModel("bm25"), mteb_task(collection))
    (cell,) = evaluate_dataset(collection, "bm25", measures=["nDCG@10"])
    assert 100 * found["ndcg_at_10"] == pytest.approx(100 * cell.measures["nDCG@10"], abs=0.1)
