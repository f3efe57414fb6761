"""The engine ranks a training's documents as a product of all vectors does."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import index.mining
from index.mining import retrieve
from lsr.encoders.bm25 import Bm25Encoder
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.term_counts import collection_statistics
from lsr.errors import InputError
from lsr.sparse import SparseBatch, SparseVector
from lsr.train.config import MiningConfig
from lsr.train.negatives import mine
from lsr.train.pairs import TrainingCorpus
from tests.strategies import texts

DOCUMENTS = [
    "Apple pie is a pie of apples.", "cherry", "bananas and the apple", "", "é 中文", "cherry pie",
    "the the the", "an apple a day",
]  # fmt: skip
BM25 = load_encoder("bm25")
QUERIES = ["apple pie", "who sells cherries?", "", "中文 cherry the", "the"]


def by_hand(encoder, documents, queries, depth):
    """Rankings by a product of dense matrices, ties by row, of what float16 keeps."""
    stored = encoder.encode_documents(documents)
    statistics = collection_statistics(encoder, documents, stored)
    weights = encoder.impacts(stored, statistics).to_scipy().toarray()
    asked = encoder.encode_queries(queries, statistics).to_scipy().toarray()
    rows, scores = [], []
    for query in asked:
        found = weights.astype(np.float16).astype(np.float32) @ query
        order = sorted(range(len(documents)), key=lambda row: (-found[row], row))
        best = [row for row in order if found[row] > 0][:depth]
        rows.append(best + [-1] * (depth - len(best)))
        scores.append(found)
    return rows, scores


@pytest.fixture(params=["bm25", "splade", "inference-free", "collection"])
def encoder(request, tmp_path, masked_lm):
    if request.param == "bm25":
        return BM25
    if request.param == "splade":
        return load_encoder(f"splade:{masked_lm}")
    if request.param == "collection":
        return load_encoder(f"inference-free:{masked_lm},idf=collection")
    folder = shutil.copytree(masked_lm, tmp_path / "model")
    (folder / "idf.json").write_text(json.dumps({"apple": 2.0, "pie": 1.5, "cherry": 3.0}))
    return load_encoder(f"inference-free:{folder}")


@pytest.mark.parametrize("depth", [1, 3, 20])
def test_rankings_are_those_of_all_products(encoder, depth, monkeypatch):
    expected, scores = by_hand(encoder, DOCUMENTS, QUERIES, depth)
    found = retrieve(encoder, DOCUMENTS, QUERIES, depth)
    assert found.dtype == np.int64
    assert found.shape == (len(QUERIES), depth)
    for query, (row, wanted) in enumerate(zip(found.tolist(), expected, strict=True)):
        # Sums in another order may swap documents whose scores are equal but for rounding.
        np.testing.assert_allclose(
            scores[query][[each for each in row if each >= 0]],
            scores[query][[each for each in wanted if each >= 0]],
            rtol=1e-5,
        )
        assert len(set(row) - {-1}) == len(set(wanted) - {-1})
    assert (found >= 0).any()
    for name in ("LARGEST_DOCUMENT_COUNT", "DOCUMENTS_AT_A_TIME", "QUERIES_AT_A_TIME"):
        monkeypatch.setattr(index.mining, name, 3)
    np.testing.assert_array_equal(retrieve(encoder, DOCUMENTS, QUERIES, depth), found)


@settings(max_examples=25)
@given(st.lists(texts, max_size=8), st.lists(texts, max_size=4), st.integers(1, 10))
def test_any_texts(documents, queries, depth):
    found = retrieve(BM25, documents, queries, depth)
    _, scores = by_hand(BM25, documents, queries, depth)
    for query, row in enumerate(found.tolist()):
        real = [each for each in row if each >= 0]
        positive = int((scores[query] > 0).sum())
        assert len(real) == len(set(real)) == min(positive, depth)
        assert (np.diff(scores[query][real]) <= 1e-5).all()


def test_progress_and_bad_weights(monkeypatch):
    states = []
    retrieve(load_encoder("bm25"), DOCUMENTS, QUERIES, 2, lambda *state: states.append(state))
    assert states == [("documents by bm25", 8, 8), ("queries by bm25", 5, 5)]

    def encode_documents(self, texts):
        rows = [SparseVector.from_mapping({1: float("nan")}) for _ in texts]
        return SparseBatch.from_rows(rows, self.vocabulary.size)

    monkeypatch.setattr(Bm25Encoder, "encode_documents", encode_documents)
    with pytest.raises(InputError, match="not finite"):
        retrieve(load_encoder("bm25"), DOCUMENTS, QUERIES, 2)


def test_negatives_of_our_own_index():
    corpus = TrainingCorpus(["apple pie", "cherry"], DOCUMENTS, np.array([0, 1]))
    drawn = mine(retrieve, load_encoder("bm25"), corpus, MiningConfig(depth=10, pool=5), None, 0)
    assert {row for row in drawn[0].tolist() if row >= 0} == {2, 5, 7}
    assert {row for row in drawn[1].tolist() if row >= 0} == {5}
